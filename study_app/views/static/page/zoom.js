// The images as large as the screen allows, one at a time; arrows go from one to the other.

export function openZoom(images, side, words) {
  const dialog = document.createElement("dialog");
  dialog.className = "zoomed";
  dialog.setAttribute("aria-label", words.zoom);
  dialog.innerHTML = `<img><div><button type="button"></button><button type="button"></button>
    <button type="button" class="close"></button></div>`;
  const picture = dialog.querySelector("img");
  const buttons = [...dialog.querySelectorAll("button")];
  const show = (index) => {
    picture.src = images[index].src;
    picture.alt = images[index].alt;
    buttons.slice(0, 2).forEach((b, i) => b.setAttribute("aria-pressed", String(i === index)));
  };
  buttons[0].textContent = images[0].alt;
  buttons[1].textContent = images[1].alt;
  buttons[2].textContent = words.close;
  buttons[0].addEventListener("click", () => show(0));
  buttons[1].addEventListener("click", () => show(1));
  buttons[2].addEventListener("click", () => dialog.close());
  picture.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") show(0);
    else if (event.key === "ArrowRight") show(1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  document.querySelector(".rater").append(dialog);
  show(side);
  dialog.showModal();
  buttons[side].focus();
}

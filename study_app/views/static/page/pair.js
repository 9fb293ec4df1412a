// A pair of images and the answers to it.
//
// One answer a shown pair: repeats of a held key, second clicks of a double click and whatever comes
// before the images were looked at do not count. The next pair's images are loaded and decoded
// beforehand and put in place in one step, so no frame is blank between pairs.

import { openZoom } from "./zoom.js";

const SETTLE_SECONDS = 0.25; // sooner than this nobody has seen the pair, whatever the owner asks
const DOUBLE_CLICK_SECONDS = 0.5; // the second click of a double click comes within this
const RETRY_MS = 2000;
const STACKED = matchMedia("(max-width: 40rem) and (orientation: portrait)"); // as in style.css
const SEEN = "pair-on-display";

export class PairView {
  constructor(root, words, send) {
    this.root = root;
    this.words = words;
    this.send = send;
    this.arriving = false; // whether the question takes the focus when the first pair is shown
    this.shown = null; // the pair whose images are on the page
    this.data = null;
    this.loading = new Map(); // pair id → Promise of its two decoded images
    this.onKey = (event) => this.key(event);
    this.onTurn = () => this.name();
    STACKED.addEventListener("change", this.onTurn);
    window.addEventListener("keydown", this.onKey, true);
    this.build();
  }

  close() {
    window.removeEventListener("keydown", this.onKey, true);
    STACKED.removeEventListener("change", this.onTurn);
    this.closed = true;
  }

  build() {
    const { words } = this;
    this.root.innerHTML = `
      <main class="pair-page">
        <div class="progress"><progress></progress><span></span></div>
        <p class="practice" hidden></p>
        <h1 class="question" tabindex="-1" dir="auto"></h1>
        <p class="caption"><span class="spoken"></span> <q dir="auto"></q></p>
        <div class="pair"></div>
        <div class="feedback" hidden><p tabindex="-1"></p><button type="button"></button></div>
        <div class="answers" role="group"></div>
        <label class="comment" hidden><span></span><textarea rows="1" maxlength="1000"></textarea></label>
        <div class="below">
          <p class="hint" role="status"></p>
          <button type="button" class="report"></button>
          <button type="button" class="undo"></button>
        </div>
        <p class="spoken" aria-live="polite"></p>
      </main>`;
    this.part = (css) => this.root.querySelector(css);
    this.part(".progress progress").setAttribute("aria-label", words.progress_label);
    this.part(".caption .spoken").textContent = `${words.caption}:`;
    this.part(".answers").setAttribute("aria-label", words.answers);
    this.part(".comment span").textContent = words.comment;
    this.part(".report").textContent = words.report;
    this.part(".report").addEventListener("click", (event) => this.report(event));
    this.part(".undo").textContent = words.undo;
    this.part(".undo").setAttribute("aria-keyshortcuts", "Backspace");
    this.part(".undo").addEventListener("click", (event) => this.undo(event));
    this.part(".feedback button").addEventListener("click", () => this.leave("look", {}));
  }

  // ---------------------------------------------------------------- what the server says

  update(data) {
    this.data = data;
    const { progress } = data;
    this.locked = false;
    Object.assign(this.part("progress"), { max: progress.total || 1, value: progress.done });
    this.part(".progress span").textContent = progress.text;
    this.part(".undo").hidden = !data.can_undo;
    this.part(".report").hidden = data.pair.practice;
    this.part(".comment").hidden = !data.comments || Boolean(data.feedback);
    this.offer(data.answers);
    this.feedback(data.feedback);
    this.hint(data.notice);
    const shown = this.shown === data.pair.id ? Promise.resolve() : this.put(data.pair);
    shown.then(() => this.ahead(data)); // a slow network brings the pair that is waited for first
    const wanted = new Set([data.pair.id, data.upcoming?.id]);
    for (const id of this.loading.keys()) if (!wanted.has(id)) this.loading.delete(id);
    this.mark();
    this.announce();
  }

  /** Says in the page which pair can be answered now, for style, tools and tests. */
  mark() {
    const ready = !this.locked && this.shown === this.data.pair.id;
    this.part("main").dataset.answerable = ready ? this.shown : "";
  }

  offer(answers) {
    const group = this.part(".answers");
    const names = answers.map(({ name }) => name).join();
    if (group.dataset.answers === names) return;
    group.dataset.answers = names;
    group.replaceChildren(
      ...answers.map(({ name, key, sign }) => {
        const button = document.createElement("button");
        button.type = "button";
        button.dataset.answer = name;
        button.setAttribute("aria-keyshortcuts", key === " " ? "Space" : key);
        button.innerHTML = "<b></b><kbd aria-hidden='true'></kbd>";
        button.lastChild.textContent = sign;
        button.addEventListener("click", (event) => this.click(event, name));
        return button;
      }),
    );
    this.name();
  }

  /** Calls sides by where they are: left and right, or one above the other on a phone. */
  name() {
    const { words } = this;
    const sides = STACKED.matches ? ["upper_image", "lower_image"] : ["left_image", "right_image"];
    this.part(".pair").querySelectorAll("figure").forEach((figure, side) => {
      figure.querySelector("img").alt = words[sides[side]];
      figure.querySelector("button").setAttribute("aria-label", `${words.zoom}: ${words[sides[side]]}`);
    });
    for (const button of this.part(".answers").children) {
      const { answer } = button.dataset;
      const stacked = STACKED.matches && words[`stacked_${answer}`];
      button.firstChild.textContent = stacked || words[answer];
    }
  }

  feedback(feedback) {
    const panel = this.part(".feedback");
    const appears = feedback && panel.hidden;
    panel.hidden = !feedback;
    this.part(".answers").hidden = Boolean(feedback);
    if (!feedback) return;
    panel.dataset.right = feedback.right;
    panel.querySelector("button").textContent = feedback.right ? this.words.next : this.words.again;
    panel.querySelector("p").textContent = feedback.text;
    if (appears) panel.querySelector("p").focus();
  }

  // ---------------------------------------------------------------- images

  /** Both images of a pair, decoded; waits for a network that is down, never fails for it. */
  load(pair) {
    if (!this.loading.has(pair.id)) {
      const sides = [pair.left, pair.right];
      this.loading.set(pair.id, Promise.all(sides.map((name) => this.image(pair, name))));
    }
    return this.loading.get(pair.id);
  }

  async image(pair, name) {
    const [width, height] = this.data.image_size;
    const url = `image/${name}.png`;
    for (;;) {
      const image = new Image(width, height);
      Object.assign(image, { decoding: "sync", draggable: false, src: url });
      try {
        await image.decode();
        return image;
      } catch {
        const status = await fetch(url, { cache: "reload" }).then((r) => r.status, () => 0);
        if (status === 404) throw new Error(pair.id);
        await new Promise((done) => setTimeout(done, RETRY_MS));
        if (this.closed) return image;
      }
    }
  }

  /** Load the next pair's images, unless that pair is not the next one any more. */
  ahead({ upcoming }) {
    if (!upcoming || this.data.upcoming?.id !== upcoming.id) return;
    this.load(upcoming).catch(() => {}); // told when its turn comes
  }

  /** Put a pair on the page once its images can be painted; until then the one before stays. */
  async put(pair) {
    this.target = pair.id;
    this.shown = null;
    let images;
    try {
      images = await this.load(pair);
    } catch {
      this.loading.delete(pair.id);
      // asked again for the same pair, the server did not agree that an image is gone: no hurry
      if (this.missed === pair.id) await new Promise((done) => setTimeout(done, RETRY_MS));
      this.missed = pair.id;
      if (this.target === pair.id && !this.closed) this.leave("set_aside", { assignment: pair.id });
      return;
    }
    if (this.target !== pair.id || this.shown === pair.id || this.closed) return;
    this.paint(pair, images);
  }

  paint(pair, images) {
    const question = this.part(".question");
    const changed = question.textContent !== "" && question.textContent !== pair.question;
    question.textContent = pair.question;
    question.classList.toggle("changed", changed);
    this.part(".practice").hidden = !pair.practice;
    this.part(".practice").textContent = this.words.practice;
    this.part(".caption").classList.toggle("empty", !pair.caption);
    this.part(".caption q").textContent = pair.caption;
    const holder = this.part(".pair");
    const [width, height] = this.data.image_size;
    holder.style.setProperty("--ratio", width / height);
    holder.replaceChildren(...images.map((image, side) => this.frame(image, side)));
    this.name();
    this.rest();
    this.images = images;
    this.shown = pair.id;
    this.known = recall() !== pair.id; // shown before a reload: nobody knows how long it was seen
    remember(pair.id);
    this.shownAt = Infinity;
    const seen = () => (this.shownAt = performance.now());
    requestAnimationFrame(() => requestAnimationFrame(seen)); // after the frame that shows it
    if (this.arriving) question.focus({ preventScroll: true }); // a screen reader reads on from here
    this.arriving = false;
    this.mark();
    this.announce();
  }

  /** The button that was pressed looks like the others until the pointer moves again. */
  rest() {
    const answers = this.part(".answers");
    answers.classList.add("rested");
    addEventListener("pointermove", () => answers.classList.remove("rested"), { once: true });
  }

  frame(image, side) {
    const figure = document.createElement("figure");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "zoom";
    button.addEventListener("click", () => openZoom(this.images, side, this.words));
    image.addEventListener("click", () => openZoom(this.images, side, this.words));
    figure.append(image, button);
    return figure;
  }

  // ---------------------------------------------------------------- answers

  click(event, answer) {
    if (event.detail > 0) event.currentTarget.blur(); // so that the space bar means what it says
    this.answer(answer, event.detail > 1 ? DOUBLE_CLICK_SECONDS : 0);
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.("textarea")) return; // what is typed there is no answer
    const answer = this.data?.answers.find(({ key }) => key === event.key)?.name;
    const button = event.target.closest?.("button, a, input");
    if (button && event.key === " ") {
      if (event.repeat) swallow(event); // a held space bar would press the button again and again
      return;
    }
    if (answer && !this.data.feedback) {
      swallow(event);
      if (!event.repeat) this.answer(answer, 0);
    } else if (event.key === "Backspace" && this.data?.can_undo) {
      swallow(event);
      if (!event.repeat) this.undo(event);
    }
  }

  /** Give an answer, unless it can't be meant for the pair on the page. */
  answer(answer, patience) {
    if (this.locked || !this.shown || this.data.feedback) return;
    const seconds = (performance.now() - this.shownAt) / 1000;
    if (!(seconds >= Math.max(this.data.min_seconds, SETTLE_SECONDS, patience))) {
      if (this.data.min_seconds > 0 && patience === 0) this.hint(this.words.too_early);
      return;
    }
    const { pair, upcoming } = this.data;
    const known = this.known ? seconds : null;
    const written = this.part(".comment textarea");
    const comment = this.data.comments ? written.value.trim() : "";
    written.value = "";
    const said = { assignment: pair.id, again: pair.again, answer, seconds: known };
    this.leave("answer", comment ? { ...said, comment } : said);
    if (upcoming && !pair.practice && this.loading.has(upcoming.id)) this.put(upcoming);
  }

  undo(event) {
    if (event.detail > 1 || this.locked || !this.data.can_undo) return;
    this.leave("undo", { done: this.data.progress.done });
  }

  report(event) {
    if (event.detail > 1 || this.locked || !this.shown) return;
    this.leave("report", { assignment: this.shown });
  }

  leave(kind, details) {
    if (this.locked) return;
    this.locked = true;
    this.mark();
    this.hint("");
    this.send(kind, details);
  }

  hint(text) {
    this.part(".hint").textContent = text ?? "";
  }

  /** Tell a screen reader, once the server has the answer before, which pair this is. */
  announce() {
    const { pair, progress } = this.data;
    if (this.shown !== pair.id || this.announced === pair.id) return;
    this.announced = pair.id;
    const where = pair.practice ? this.words.practice : progress.text;
    const question = this.asked && this.asked !== pair.question && pair.question;
    const caption = pair.caption && `${this.words.caption}: ${pair.caption}`;
    this.asked = pair.question;
    const said = [where, question, caption].filter(Boolean).join(". ");
    this.part(".spoken[aria-live]").textContent = said;
  }
}

function swallow(event) {
  event.stopImmediatePropagation();
  event.preventDefault();
}

function recall() {
  try {
    return localStorage.getItem(SEEN);
  } catch {
    return null; // storage may be forbidden
  }
}

function remember(id) {
  try {
    localStorage.setItem(SEEN, id);
  } catch {
    // then a reload is not noticed
  }
}

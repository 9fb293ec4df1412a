// The rater's page: shows what the server says comes next, and sends back what the rater does.
//
// Streamlit calls `show` with fresh data after each run of the script. An answer is shown as given
// at once (the next pair's images are loaded already) and sent until the server has acknowledged
// it; nothing else can be answered before that.

import { PairView } from "./pair.js";

await styled(); // nothing is drawn before it can be drawn well

const RESEND_MS = 4000;
const SLOW_MS = 1500;
const REDIRECT_MS = 20000; // time to read the code and write it down, or to choose to stay

let post = () => {}; // how events reach the server
const raters = new WeakMap();

/** The inbox component: lends the way to the server. */
export function listen({ setTriggerValue }) {
  post = (event) => setTriggerValue("event", event);
}

/** The screen component: shows `data`, JSON as bytes. */
export function show({ data, parentElement: root }) {
  if (!raters.has(root)) raters.set(root, new Rater(root));
  raters.get(root).receive(JSON.parse(new TextDecoder().decode(data)));
  return () => {
    raters.get(root)?.close();
    raters.delete(root);
  };
}

class Rater {
  constructor(root) {
    this.root = document.createElement("div");
    this.root.className = "rater";
    root.append(this.root);
    this.view = null; // the pair's view while a pair is shown
    this.pending = null; // the event on its way
    this.stage = null;
  }

  receive(data) {
    this.data = data;
    document.documentElement.lang = data.language;
    document.title = data.title;
    if (this.pending && data.ack !== this.pending.id) {
      // a page that (re)connected: what was on its way may be lost, or stored without our knowing
      if (data.ack === null) this.deliver();
      return;
    }
    this.settle();
    if (data.pair) this.showPair(data);
    else this.showPage(data);
  }

  showPair(data) {
    if (!this.view) {
      this.view = new PairView(this.root, data.words, (kind, details) => this.send(kind, details));
      this.view.arriving = this.stage !== null; // from a page of text, whose button had the focus
    }
    this.stage = null;
    this.view.update(data);
  }

  showPage(data) {
    const stage = JSON.stringify([data.html, data.action]);
    if (stage === this.stage) return;
    const first = this.stage === null && this.view === null;
    this.stage = stage;
    this.view?.close();
    this.view = null;
    this.root.innerHTML = data.html; // written by the server, every outside word escaped
    const button = this.root.querySelector("[data-event]");
    button?.addEventListener("click", () => this.send(button.dataset.event, {}));
    if (!first) this.root.querySelector("h1")?.focus(); // a screen reader reads on from here
    window.scrollTo?.(0, 0);
    document.querySelector("[data-testid=stMain]")?.scrollTo(0, 0);
    const away = this.root.querySelector("[data-redirect]");
    if (away) this.leaveSoon(away, this.root.querySelector("[data-stay]"));
  }

  /** Goes where a link leads after a while, unless the rater wants to stay. */
  leaveSoon(link, stay) {
    const leaving = setTimeout(() => link.isConnected && location.assign(link.href), REDIRECT_MS);
    stay.addEventListener("click", () => {
      clearTimeout(leaving);
      link.parentElement.previousElementSibling.remove(); // it said so
      stay.remove();
      link.focus();
    });
  }

  // ---------------------------------------------------------------- events

  send(kind, details) {
    if (this.pending) return;
    this.pending = { id: crypto.getRandomValues(new Uint32Array(2)).join("-"), kind, ...details };
    this.root.querySelector("[data-event]")?.setAttribute("aria-disabled", "true");
    this.deliver();
    this.slow = setTimeout(() => this.say(this.data.words.saving), SLOW_MS);
  }

  deliver() {
    post(this.pending);
    clearTimeout(this.again);
    this.again = setTimeout(() => this.pending && this.deliver(), RESEND_MS);
  }

  settle() {
    clearTimeout(this.again);
    clearTimeout(this.slow);
    if (this.pending) this.say("");
    this.pending = null;
    this.root.querySelector("[data-event]")?.removeAttribute("aria-disabled");
  }

  say(text) {
    const status = this.root.querySelector("[role=status]");
    if (status) status.textContent = text;
  }

  close() {
    clearTimeout(this.again);
    clearTimeout(this.slow);
    this.view?.close();
    this.root.remove();
  }
}

function styled() {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL("style.css", import.meta.url);
  return new Promise((ready) => {
    link.onload = link.onerror = ready;
    document.head.append(link);
  });
}

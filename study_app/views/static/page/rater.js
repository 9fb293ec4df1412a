// The rater's page: shows what the server says comes next, and sends what the rater does.
//
// Each event is one request, and its answer is what comes next. An answer to a pair is shown as given
// at once (the next pair's images are loaded already) and sent until the server has answered, by
// this page or by the next one that opens at the rater's address; nothing else can be answered
// before that. The server stores an answer once, however often it comes.

import { PairView } from "./pair.js";

const PATIENCE_MS = [4000, 8000, 16000, 30000]; // until a request counts as lost: at first, again, …
const RESEND_MS = 1000;
const SLOW_MS = 1500;
const REDIRECT_MS = 20000; // time to read the code and write it down, or to choose to stay

const { pair: words, trouble } = JSON.parse(document.querySelector("#words").textContent);
const visit = [...crypto.getRandomValues(new Uint8Array(16))]
  .map((byte) => byte.toString(16).padStart(2, "0")).join("");

class Rater {
  constructor(root) {
    this.root = root;
    this.query = Object.fromEntries(new URLSearchParams(location.search));
    this.view = null; // the pair's view while a pair is shown
    this.pending = null; // the event on its way
    this.offer(); // the text that came with the page
    window.addEventListener("online", () => this.wake?.());
    window.addEventListener("pageshow", ({ persisted }) => persisted && this.look());
  }

  /** Asks where the rater stands; first sends what an earlier page could not. */
  look() {
    const unsent = this.pending ?? recall(this.query.rater);
    if (!unsent) this.send("look");
    else if (!this.pending) this.deliver({ ...unsent, resent: true });
  }

  receive(data) {
    this.query = data.query;
    const address = `?${new URLSearchParams(data.query)}`;
    if (data.query.rater && address !== location.search) history.replaceState(null, "", address);
    if (data.pair) this.showPair(data);
    else this.showPage(data.html);
  }

  showPair(data) {
    if (!this.view) {
      this.view = new PairView(this.root, words, (kind, details) => this.send(kind, details));
      this.view.arriving = this.moved; // from a page of text, whose button had the focus
    }
    this.view.update(data);
  }

  showPage(html) {
    const drawn = document.createElement("template");
    drawn.innerHTML = html; // written by the server, every outside word escaped
    if (drawn.innerHTML === this.root.innerHTML) return;
    this.view?.close();
    this.view = null;
    this.root.replaceChildren(drawn.content);
    this.offer();
    if (this.moved) this.root.querySelector("h1")?.focus(); // a screen reader reads on from here
    window.scrollTo(0, 0);
    const away = this.root.querySelector("[data-redirect]");
    if (away) this.leaveSoon(away, this.root.querySelector("[data-stay]"));
  }

  /** Lets the page's one button do what it says. */
  offer() {
    const button = this.root.querySelector("[data-event]");
    button?.addEventListener("click", () => this.send(button.dataset.event));
    button?.removeAttribute("aria-disabled");
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

  send(kind, details = {}) {
    if (this.pending) return;
    if (kind !== "look") this.moved = true;
    this.deliver({ kind, ...details });
  }

  /** Sends an event until it is answered, and shows the answer. */
  async deliver(event) {
    this.pending = event;
    if (event.kind === "answer") remember(this.query.rater, event);
    this.root.querySelector("[data-event]")?.setAttribute("aria-disabled", "true");
    const slow = setTimeout(() => this.say(words.saving), SLOW_MS);
    const data = await this.answerTo(event);
    clearTimeout(slow);
    this.say("");
    this.pending = null;
    forget(this.query.rater, event);
    this.root.querySelector("[data-event]")?.removeAttribute("aria-disabled");
    this.receive(data);
  }

  async answerTo(event) {
    for (let tries = 0; ; tries += 1) {
      const sent = tries ? { ...event, resent: true } : event;
      const answer = await this.ask(sent, PATIENCE_MS[Math.min(tries, PATIENCE_MS.length - 1)]);
      if (answer.data) return answer.data;
      if (answer.status === 503) this.trouble();
      await new Promise((wake) => {
        this.wake = wake;
        setTimeout(wake, RESEND_MS);
      });
    }
  }

  /** One request: its `data`, or the `status` of a refusal (0 where nothing came back). */
  async ask(event, patience) {
    const asked = JSON.stringify({ query: this.query, visit, event });
    try {
      const response = await fetch("turn", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: asked,
        cache: "no-store",
        keepalive: true, // also when the page is left meanwhile
        signal: AbortSignal.timeout(patience),
      });
      return response.ok ? { data: await response.json() } : { status: response.status };
    } catch {
      return { status: 0 };
    }
  }

  /** The study's storage is out of reach: says so where there is room. */
  trouble() {
    if (this.view) this.say(words.storage);
    else {
      this.root.innerHTML = trouble;
      this.root.querySelector("[data-event]").addEventListener("click", () => this.wake());
    }
  }

  say(text) {
    const status = this.root.querySelector("[role=status]");
    if (status) status.textContent = text;
  }
}

// ---------------------------------------------------------------- what a lost page had not sent

function recall(token) {
  try {
    return token ? JSON.parse(localStorage.getItem(`unsent ${token}`)) : null;
  } catch {
    return null; // storage may be forbidden
  }
}

function remember(token, event) {
  try {
    localStorage.setItem(`unsent ${token}`, JSON.stringify(event));
  } catch {
    // then an answer is kept by this page alone
  }
}

/** Another page of this rater may have kept a later answer meanwhile: that one stays. */
function forget(token, { assignment, again }) {
  try {
    const kept = recall(token);
    if (kept?.assignment !== assignment || kept?.again !== again) return;
    localStorage.removeItem(`unsent ${token}`);
  } catch {
    // nothing was kept
  }
}

const rater = new Rater(document.querySelector(".rater"));
if (!rater.root.dataset.stranger) rater.look(); // nothing is known of a stranger

// Search on pages that are opened from disk.
//
// The theme searches in a Worker, and browsers refuse to start one from a file:// address. On such
// pages only, this Worker runs the script in a hidden frame instead. MkDocs' offline plugin would
// load a script of this kind from another host; it leaves that out because it finds this one.
if (location.protocol === "file:") {
  const loaded = (document, address) =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = address;
      script.onload = resolve;
      script.onerror = reject;
      document.head.append(script);
    });

  window.IFrameWorker = class extends EventTarget {
    constructor(address) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.scope = frame.contentWindow;
      // What the script sends goes to this object's listeners, as from a Worker.
      this.scope.postMessage = (data) => {
        const event = new MessageEvent("message", { data });
        this.dispatchEvent(event);
        if (this.onmessage) this.onmessage(event);
      };
      this.scope.importScripts = async (...addresses) => {
        for (const one of addresses) await loaded(frame.contentDocument, one);
      };
      this.ready = loaded(frame.contentDocument, new URL(address, location.href).href);
    }

    postMessage(data) {
      this.ready.then(() => this.scope.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.scope.frameElement.remove();
    }
  };
  window.Worker = window.IFrameWorker;
}

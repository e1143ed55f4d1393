// A page opened from disk may not start a worker, so that its search would not run. Here a worker is a hidden frame: the
// search script runs in it and talks to the page by messages, as it would in a worker.
(() => {
  if (location.protocol !== "file:") return;

  // Runs in the frame, before the worker's script.
  function prepareFrame() {
    const load = (url) =>
      new Promise((done, failed) => {
        const script = document.createElement("script");
        Object.assign(script, { src: url, onload: done, onerror: failed });
        document.body.append(script);
      });
    window.importScripts = async (...urls) => {
      for (const url of urls) await load(url);
    };
    window.postMessage = (data) => parent.postMessage(data, "*");
  }

  class FrameWorker extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      this.ready = new Promise((done) => this.frame.addEventListener("load", done, { once: true }));
      window.addEventListener("message", (event) => {
        if (event.source !== this.frame.contentWindow) return;
        const message = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(message);
        if (this.onmessage) this.onmessage(message);
      });
      const inside = this.frame.contentDocument;
      inside.open();
      inside.write(`<body><script>(${prepareFrame})()</` + `script><script src="${url}"></` + `script></body>`);
      inside.close();
    }

    async postMessage(data) {
      await this.ready;
      this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data: structuredClone(data) }));
    }

    terminate() {
      this.frame.remove();
    }
  }

  window.Worker = FrameWorker;
})();

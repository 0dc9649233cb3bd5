// Search without a server: browsers refuse a Worker of a page that is opened from the disk. There, and only
// there, this one runs the same script in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class FrameWorker extends EventTarget {
    constructor(url) {
      super()
      this.waiting = []
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.title = "search"
      document.body.appendChild(frame)
      this.scope = frame.contentWindow
      this.scope.postMessage = data => this.tell(this, data)
      this.scope.importScripts = (...scripts) => this.load(scripts)
      this.load([url]).then(() => {
        this.ready = true
        this.waiting.forEach(data => this.tell(this.scope, data))
      })
    }

    postMessage(data) {
      if (this.ready) this.tell(this.scope, data)
      else this.waiting.push(data)
    }

    tell(target, data) {
      target.dispatchEvent(new MessageEvent("message", { data }))
    }

    load(scripts) {
      return scripts.reduce((before, source) => before.then(() => this.add(source)), Promise.resolve())
    }

    add(source) {
      return new Promise((resolve, reject) => {
        const script = this.scope.document.createElement("script")
        Object.assign(script, { src: new URL(source, location.href), onload: resolve, onerror: reject })
        this.scope.document.body.appendChild(script)
      })
    }

    terminate() {
      this.scope.frameElement.remove()
    }
  }
}

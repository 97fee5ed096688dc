// The player of srcsep_core/show/player.py: builds the controls of the `.srcsep-player` element around this script.
(() => {
  "use strict";
  const make = (tag, name, ...children) => {
    const node = document.createElement(tag);
    node.className = name;
    node.append(...children);
    return node;
  };

  // Shared by all players of the page: one audio context for each sample rate, and who is playing.
  const shared = (window.srcsepShared = window.srcsepShared || { contexts: {}, playing: null, idle: 0 });
  const audioContext = (rate) => {
    if (!shared.contexts[rate]) {
      let context;
      try { context = new AudioContext({ sampleRate: rate }); } catch { context = new AudioContext(); }
      shared.contexts[rate] = context;
    }
    return shared.contexts[rate];
  };

  // In-place radix-2 fast Fourier transform.
  function fft(re, im) {
    const n = re.length;
    for (let i = 1, j = 0; i < n; i++) {
      let bit = n >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j ^= bit;
      if (i < j) { [re[i], re[j]] = [re[j], re[i]]; [im[i], im[j]] = [im[j], im[i]]; }
    }
    for (let size = 2; size <= n; size *= 2) {
      for (let k = 0; k < size / 2; k++) {
        const c = Math.cos(2 * Math.PI * k / size), s = -Math.sin(2 * Math.PI * k / size);
        for (let a = k; a < n; a += size) {
          const b = a + size / 2, x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
          re[b] = re[a] - x; im[b] = im[a] - y;
          re[a] += x; im[a] += y;
        }
      }
    }
  }

  // A small picture whose opacity is the level, 60 dB up to 10 dB below full scale; it is coloured when drawn.
  function spectrogram(samples) {
    let n = 512;
    while (n > 32 && n > samples.length / 4) n /= 2;
    const frames = Math.max(1, Math.min(500, Math.floor(samples.length * 8 / n)));
    const picture = make("canvas", "");
    picture.width = frames;
    picture.height = n / 2;
    const context = picture.getContext("2d"), pixels = context.createImageData(frames, n / 2);
    const re = new Float32Array(n), im = new Float32Array(n);
    for (let frame = 0; frame < frames; frame++) {
      const middle = Math.round((frame + 0.5) * samples.length / frames);
      const start = Math.max(0, Math.min(samples.length - n, middle - n / 2));
      im.fill(0);
      for (let i = 0; i < n; i++) re[i] = (samples[start + i] || 0) * (0.5 - 0.5 * Math.cos(2 * Math.PI * i / n));
      fft(re, im);
      for (let bin = 0; bin < n / 2; bin++) {
        const db = 20 * Math.log10(Math.hypot(re[bin], im[bin]) * 4 / n + 1e-9);
        pixels.data[4 * ((n / 2 - 1 - bin) * frames + frame) + 3] = 255 * Math.min(1, Math.max(0, (db + 70) / 60));
      }
    }
    context.putImageData(pixels, 0, 0);
    return picture;
  }

  function build(root) {
    const data = JSON.parse(root.querySelector(".srcsep-data").textContent);
    const duration = data.length / data.rate;
    const tracks = data.tracks.map((track) => ({ ...track, heard: 0, mute: false, buffers: [], spectra: [] }));
    const WHICH = ["estimate", "truth"];
    const mix = tracks.find((track) => track.mix);
    let solo = mix || tracks[0], loop = false, waves = false;
    let graph = null, wanted = false, turn = 0, position = 0;

    // Sound. All clips start at once and run on together; what is heard is a matter of their gains.
    const audible = (track) => !track.mute && (!solo || solo === track);
    const level = (track, which) => Number(audible(track) && track.heard === which);

    function connect(context, when, offset) {
      const output = context.createGain();
      output.gain.value = data.gain;
      output.connect(context.destination);
      const nodes = tracks.flatMap((track) => track.buffers.map((buffer, which) => {
        const source = context.createBufferSource(), gain = context.createGain();
        source.buffer = buffer;
        source.loop = loop;
        gain.gain.value = level(track, which);
        source.connect(gain).connect(output);
        source.start(when, offset);
        return { source, gain, track, which };
      }));
      return { context, output, nodes, started: when, offset };
    }

    function begin() {
      const context = audioContext(data.rate), now = context.currentTime;
      const mine = graph = connect(context, now + 0.02, position);
      mine.output.gain.setValueAtTime(0, now);
      mine.output.gain.setTargetAtTime(data.gain, mine.started, 0.003);
      mine.nodes[0].source.onended = () => { if (graph === mine) stop(); };
    }

    function halt() {
      if (!graph) return;
      position = time();
      const now = graph.context.currentTime;
      graph.output.gain.setTargetAtTime(0, now, 0.003);
      graph.nodes.forEach((node) => node.source.stop(now + 0.03));
      graph = null;
    }

    async function play() {
      if (wanted) return;
      if (shared.playing) shared.playing.pause();
      clearTimeout(shared.idle);
      shared.playing = handle;
      wanted = true;
      const mine = ++turn;
      show();
      const resumed = audioContext(data.rate).resume();
      try {
        await Promise.all([ready, resumed]);
        if (mine === turn) { begin(); tick(); }
      } catch (error) { pause(); }
    }

    function pause() {
      turn++;
      halt();
      wanted = false;
      if (shared.playing === handle) {
        shared.playing = null;
        shared.idle = setTimeout(() => Object.values(shared.contexts).forEach((context) => context.suspend()), 1000);
      }
      show();
    }

    function stop() { pause(); position = 0; show(); }

    function seek(seconds) {
      const running = graph;
      halt();
      position = Math.min(Math.max(seconds, 0), duration);
      if (running) begin();
      show();
    }

    function time() {
      if (!graph) return position;
      const elapsed = graph.offset + Math.max(0, graph.context.currentTime - graph.started);
      return loop ? elapsed % duration : Math.min(elapsed, duration);
    }

    function update() {
      if (graph) {
        const now = graph.context.currentTime;
        graph.nodes.forEach((node) => node.gain.gain.setTargetAtTime(level(node.track, node.which), now, 0.003));
      }
      show();
    }

    function setLoop(on) {
      const now = time();
      loop = on;
      if (graph) {
        graph.offset = now;
        graph.started = Math.max(graph.started, graph.context.currentTime);
        graph.nodes.forEach((node) => { node.source.loop = on; });
      }
      show();
    }

    // Controls. Every button has an accessible name, and what is on or off says so in aria-pressed.
    const shows = [];
    function button(text, label, click, pressed) {
      const node = make("button", "", text);
      node.type = "button";
      node.setAttribute("aria-label", label);
      node.title = label;
      node.addEventListener("click", click);
      if (pressed) shows.push(() => node.setAttribute("aria-pressed", String(pressed())));
      return node;
    }
    const hear = (some, which) => { some.forEach((track) => { track.heard = which; }); redraw(); update(); };
    const pair = (some, of) => make("span", "srcsep-pair", ...WHICH.map((word, which) =>
      button(word, "Hear the " + word + " of " + of, () => hear(some, which),
        () => some.every((track) => track.heard === which))));

    const toggle = button("Play", "Play", () => (wanted ? pause() : play()));
    toggle.classList.add("srcsep-play");
    const slider = make("input", "");
    Object.assign(slider, { type: "range", min: 0, max: duration, step: "any", value: 0 });
    slider.setAttribute("aria-label", "Position in seconds");
    slider.addEventListener("input", () => seek(Number(slider.value)));
    const clock = make("span", "srcsep-time");
    const bar = make("div", "srcsep-bar", toggle, button("Stop", "Stop and go to the start", stop),
      button("Loop", "Loop", () => setLoop(!loop), () => loop), slider, clock);

    const stems = tracks.filter((track) => track !== mix);
    const paired = tracks.filter((track) => track.audio.length > 1);
    const choices = make("div", "srcsep-bar");
    if (mix && stems.length) {
      choices.append(button("Mix alone", "Hear the mix alone", () => { solo = mix; mix.mute = false; update(); },
        () => solo === mix && !mix.mute));
    }
    if (stems.length > 1) {
      choices.append(button(mix ? "All stems" : "All", "Hear all " + (mix ? "stems, not the mix" : "tracks"), () => {
        solo = null;
        tracks.forEach((track) => { track.mute = track === mix; });
        update();
      }, () => !solo && tracks.every((track) => track.mute === (track === mix))));
    }
    if (paired.length > 1) choices.append(make("span", "srcsep-every", "Every track:"), pair(paired, "every track"));
    choices.append(button("Waveforms", "Show waveforms in place of spectrograms", () => {
      waves = !waves;
      redraw();
      show();
    }, () => waves));

    const heads = [];
    function seekable(area) {
      const go = (event) => {
        const box = area.getBoundingClientRect();
        seek((event.clientX - box.left) / box.width * duration);
      };
      area.addEventListener("pointerdown", (event) => { if (event.button === 0) go(event); });
      area.addEventListener("pointermove", (event) => { if (event.buttons & 1) go(event); });
      return area;
    }
    const rows = make("div", "srcsep-rows", ...tracks.map((track) => {
      const swatch = make("span", "srcsep-colour");
      if (track.colour) swatch.style.backgroundColor = track.colour;
      const buttons = make("div", "srcsep-buttons",
        button("Mute", "Mute " + track.name, () => { track.mute = !track.mute; update(); }, () => track.mute),
        button("Solo", "Solo " + track.name, () => {
          solo = solo === track ? null : track;
          if (solo) track.mute = false;
          update();
        }, () => solo === track));
      if (track.audio.length > 1) buttons.append(pair([track], track.name));
      const canvas = make("canvas", ""), head = make("div", "srcsep-head");
      canvas.setAttribute("role", "img");
      heads.push(head);
      Object.assign(track, { canvas, swatch });
      const row = make("div", "srcsep-row", make("span", "srcsep-label", swatch, track.name), buttons,
        seekable(make("div", "srcsep-picture", canvas, head)));
      shows.push(() => row.classList.toggle("srcsep-silent", !audible(track)));
      return row;
    }));

    const scale = make("span", "srcsep-scale");
    shows.push(() => {
      scale.textContent = waves ? "one amplitude scale" : "0 to " + Number((data.rate / 2000).toFixed(2)) + " kHz, 60 dB";
    });
    const ruler = seekable(make("div", "srcsep-ruler"));
    const rough = duration / 6, decade = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * decade).find((size) => size >= rough);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    for (let k = 0; k * step <= duration * 0.97; k++) {
      const tick = make("span", "", (k * step).toFixed(digits) + (k ? "" : " s"));
      tick.style.left = 100 * k * step / duration + "%";
      ruler.append(tick);
    }
    rows.append(make("div", "srcsep-row", scale, ruler));

    // Pictures.
    function draw(track) {
      const canvas = track.canvas, density = window.devicePixelRatio || 1;
      canvas.width = Math.max(1, Math.round(canvas.clientWidth * density));
      canvas.height = Math.max(1, Math.round(canvas.clientHeight * density));
      canvas.setAttribute("aria-label", (waves ? "Waveform of " : "Spectrogram of ") + track.name +
        (track.audio.length > 1 ? " (" + WHICH[track.heard] + ")" : ""));
      if (!track.buffers.length) return;
      const samples = track.buffers[track.heard].getChannelData(0);
      const context = canvas.getContext("2d"), width = canvas.width, height = canvas.height;
      context.fillStyle = getComputedStyle(track.swatch).backgroundColor;
      if (!waves) {
        const picture = track.spectra[track.heard] = track.spectra[track.heard] || spectrogram(samples);
        context.drawImage(picture, 0, 0, width, height);
        context.globalCompositeOperation = "source-in";
        context.fillRect(0, 0, width, height);
        return;
      }
      for (let x = 0; x < width; x++) {
        const from = Math.floor(x * samples.length / width);
        let low = samples[from], high = low;
        for (let i = from + 1; i <= Math.min(samples.length - 1, (x + 1) * samples.length / width); i++) {
          low = Math.min(low, samples[i]);
          high = Math.max(high, samples[i]);
        }
        context.fillRect(x, (1 - high) / 2 * height, 1, Math.max(density, (high - low) / 2 * height));
      }
    }
    let ink = "";
    function redraw() { ink = getComputedStyle(root).color; tracks.forEach(draw); }

    function show() {
      toggle.textContent = wanted ? "Pause" : "Play";
      toggle.setAttribute("aria-label", toggle.textContent);
      toggle.title = toggle.textContent;
      shows.forEach((refresh) => refresh());
      move();
    }
    function move() {
      const now = time(), text = now.toFixed(2) + " / " + duration.toFixed(2) + " s";
      heads.forEach((head) => { head.style.left = 100 * now / duration + "%"; });
      slider.value = now;
      slider.setAttribute("aria-valuetext", text);
      clock.textContent = text;
    }
    function tick() {
      if (!graph) return;
      if (!root.isConnected) { pause(); return; }
      move();
      requestAnimationFrame(tick);
    }

    const note = root.querySelector(".srcsep-note");
    const ui = make("div", "srcsep-ui", bar, choices, rows);
    root.querySelectorAll(".srcsep-ui").forEach((old) => old.remove());
    note.before(ui);
    note.hidden = true;
    root.dataset.ready = "";
    root.tabIndex = 0;
    root.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: -1, ArrowRight: 1 };
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      if (event.key === " " && event.target.tagName !== "BUTTON") {
        if (wanted) pause(); else play();
      } else if (event.key in moves) seek(time() + moves[event.key] * duration / 20);
      else return;
      event.preventDefault();
    });
    root.addEventListener("pointerenter", () => { if (getComputedStyle(root).color !== ink) redraw(); });
    new ResizeObserver(redraw).observe(rows);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

    const decoder = new OfflineAudioContext(1, 1, data.rate);
    const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
    const ready = Promise.all(tracks.map(async (track) => {
      track.buffers = await Promise.all(track.audio.map((text) => decoder.decodeAudioData(bytes(text))));
      draw(track);
    }));
    ready.catch((error) => {
      note.textContent = "This browser cannot play the audio (" + error.message + "); try a newer one.";
      note.hidden = false;
    });

    // For tests and scripts: what is heard, as numbers.
    const gains = () => Object.fromEntries(tracks.map((track) => [track.name, Object.fromEntries(
      track.audio.map((_, which) => [WHICH[which], data.gain * level(track, which)]))]));
    async function render(from, length) {
      await ready;
      const context = new OfflineAudioContext(1, length, data.rate);
      connect(context, 0, from);
      return Array.from((await context.startRendering()).getChannelData(0));
    }
    const output = () => graph && graph.output;
    const handle = { time, playing: () => wanted, play, pause, stop, seek, gains, render, output, ready };
    root.srcsep = handle;
    show();
  }

  const script = document.currentScript, root = script && script.closest(".srcsep-player");
  (root ? [root] : document.querySelectorAll(".srcsep-player:not([data-ready])")).forEach(build);
})();

  // ---- a checkpoint: its numbers, and what was sampled there ------------------------------------------------------------
  const make = (tag, given = {}, ...children) => {
    const { text, ...attributes } = given;
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
    element.append(...children.filter((child) => child !== null));
    return element;
  };

  const count = (value) => (typeof value === "number" ? value.toLocaleString("en-US") : String(value));

  // The words of a text, those marked that the reference does not have in this place (longest common subsequence of words).
  const MOST_WORDS = 160;
  const marked = (reference, text) => {
    const [a, b] = [reference, text].map((t) => t.split(/(\s+)/).filter((word) => word !== ""));
    if (a.length > 2 * MOST_WORDS || b.length > 2 * MOST_WORDS || b.length < 3) return [text];
    const best = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
    for (let i = a.length - 1; i >= 0; i -= 1) {
      for (let j = b.length - 1; j >= 0; j -= 1) {
        best[i][j] = a[i] === b[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
      }
    }
    const parts = [];
    for (let i = 0, j = 0; j < b.length;) {
      if (i < a.length && a[i] === b[j]) { parts.push(b[j]); i += 1; j += 1; }
      else if (i < a.length && best[i + 1][j] >= best[i][j + 1]) i += 1;
      else { parts.push(/^\s+$/.test(b[j]) ? b[j] : make("mark", { text: b[j] })); j += 1; }
    }
    return parts;
  };
  // In lists of texts without pictures: against the first, the most frequent answer.
  all(".gallery .clusters").filter((list) => !list.querySelector("img")).forEach((list) => {
    const asked = (sample) => (sample.parentElement.querySelector(".asked") || { textContent: "" }).textContent;
    const [first, ...rest] = all(".sample", list);
    const others = rest.filter((sample) => asked(sample) === asked(first)); // answers to different prompts differ anyway
    others.forEach((sample) => sample.replaceChildren(...marked(first.textContent, sample.textContent)));
    if (others.some((sample) => sample.querySelector("mark"))) {
      list.after(make("p", { class: "caption", text: "Marked: words that the most frequent answer does not have in that place." }));
    }
  });

  const checkpoints = byId("checkpoints") && json(byId("checkpoints"));
  if (checkpoints) {
    const dialog = byId("checkpoint");
    const body = byId("checkpoint-body");
    const { runs, samples } = checkpoints;
    let shown = null; // [index of the run, index of the point]

    const cards = (title, items, n, reference) => {
      if (!items.length) return [];
      const list = make("ul", { class: "cards" }, ...items.map((item) => make("li", {},
        item.picture ? make("img", { src: `data:image/svg+xml,${encodeURIComponent(pictures[item.picture])}`, alt: "" }) : null,
        item.prompt ? make("p", { class: "asked", dir: "auto", text: item.prompt }) : null,
        make("code", { class: "sample", dir: "auto" }, ...(reference && !item.picture && reference.prompt === item.prompt ? marked(reference.text, item.text || "(empty)") : [item.text || "(empty)"])),
        make("small", { text: [
          item.n_characters > 400 ? `${item.n_characters} characters, cut` : "", item.parsable ? "" : "not parsable",
          `quality ${item.quality}`, `log π ${item.seq_logp}`, `${count(item.count)} of ${count(n)} (${(100 * item.share).toFixed(1)}\u00a0%)`,
        ].filter(Boolean).join(" · ") }),
      )));
      return [make("h4", { text: title }), list];
    };

    const rowWords = (run, point, metric) => `objective=${run.label.split(/\s+/).join("_")} seed=${run.seed} step=${point.step} metric=${metric}`;
    const numbersOf = (run, point) => make("table", {},
      make("thead", {}, make("tr", {}, ...["", "value", "95 % interval", "n", "not scored"].map((t, i) => make("th", { text: t, scope: "col", ...(i ? { class: "n" } : {}) })))),
      make("tbody", {}, ...Object.entries(point.numbers).map(([letter, found]) => {
        const link = make("a", { href: "#numbers", class: "row-link", title: "show its ledger row" }, make("data", { value: found.value, text: found.text }));
        link.addEventListener("click", () => { dialog.close(); findNumbers(rowWords(run, point, found.metric)); });
        return make("tr", {}, make("th", { scope: "row", text: letter }), make("td", { class: "n" }, link),
          ...[found.spread, found.n, found.n_unscored].map((v) => make("td", { class: "n", text: v === null || v === undefined ? "–" : count(v) })));
      })));

    const shelf = (run, point, key) => {
      const found = samples[key];
      if (!found) {
        const kept = run.kept.includes(point.step);
        const text = kept
          ? `Its samples lie in ${run.path}/samples/step-${String(point.step).padStart(6, "0")}.parquet; they are left out here to keep the page small.`
          : `The samples of this checkpoint were not kept${run.kept.length ? ` (kept: step ${run.kept.join(", ")})` : ""}. With measure.keep_samples = "all" a run keeps every checkpoint's; `
            + `where the checkpoint itself was kept, breadth sample ${run.path}@${point.step} draws new ones.`;
        return [make("p", { class: "note", text })];
      }
      const first = found.clusters[0] || null; // the most frequent answer
      const text = `${count(found.n)} samples: ${count(found.n_parsable)} parsable, ${count(found.n_valid)} valid, ${count(found.n_keys)} distinct answers among the parsable ones.`;
      return [
        make("p", { text }),
        ...cards("Clusters: answers with the same canonical key", found.clusters, found.n, first),
        make("p", { class: "caption", text: `All other samples: ${(100 * found.rest_share).toFixed(1)} %.` }),
        ...cards("Best by quality", found.best, found.n, first),
        ...cards("Typical", found.typical, found.n, first),
        ...cards("Not valid", found.invalid, found.n, null),
      ];
    };

    const show = (r, p) => {
      const run = runs[r];
      const point = run.points[p];
      shown = [r, p];
      byId("checkpoint-kicker").textContent = point.checkpoint ? `Checkpoint ${point.checkpoint}` : "Checkpoint";
      byId("checkpoint-title").textContent = `${run.name}, seed ${run.seed}, step ${point.step}`;
      byId("checkpoint-before").disabled = p === 0;
      byId("checkpoint-after").disabled = p === run.points.length - 1;
      body.replaceChildren(make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Numbers of the checkpoint" }, numbersOf(run, point)), ...shelf(run, point, `${r}@${point.step}`));
      if (!dialog.open) dialog.showModal();
      dialog.scrollTop = 0;
      byId("checkpoint-title").focus();
    };
    const showKey = (key) => {
      const [r, step] = key.split("@").map(Number);
      const p = runs[r].points.findIndex((point) => point.step === step);
      if (p >= 0) show(r, p);
    };
    const walk = (by) => {
      const [r, p] = shown;
      if (runs[r].points[p + by]) show(r, p + by);
    };
    byId("checkpoint-before").addEventListener("click", () => walk(-1));
    byId("checkpoint-after").addEventListener("click", () => walk(1));
    byId("checkpoint-close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") walk(-1);
      if (event.key === "ArrowRight") walk(1);
    });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); }); // beside it

    const keyOf = (event) => {
      const found = event.points.map((point) => point.customdata).find((words) => Array.isArray(words) && /^\d+@\d+$/.test(words[2]));
      return found ? found[2] : null;
    };
    figures.filter((f) => f.description.data.some((trace) => trace.customdata && Array.isArray(trace.customdata[0]))).forEach((figure) => {
      figure.listen = () => {
        if (figure.listening) return;
        figure.listening = true;
        const layer = () => figure.plot.querySelector(".nsewdrag");
        figure.plot.on("plotly_click", (event) => { const key = keyOf(event); if (key) showKey(key); });
        figure.plot.on("plotly_hover", (event) => layer().classList.toggle("clickable", Boolean(keyOf(event))));
      };
      if (figure.width) figure.listen();
    });

    const picker = byId("picker");
    if (picker) {
      const [runChoice, stepChoice] = [byId("picker-run"), byId("picker-step")];
      runChoice.append(...runs.map((run, r) => make("option", { value: r, text: `${run.name}, seed ${run.seed}` })).filter((_, r) => runs[r].points.length));
      const fillSteps = () => {
        const run = runs[Number(runChoice.value)];
        stepChoice.replaceChildren(...run.points.map((point, p) => make("option", { value: p, text: `${point.step}${run.kept.includes(point.step) ? " (samples kept)" : ""}` })));
        stepChoice.value = String(run.points.length - 1);
      };
      fillSteps();
      runChoice.addEventListener("change", fillSteps);
      byId("picker-show").addEventListener("click", () => show(Number(runChoice.value), Number(stepChoice.value)));
      picker.hidden = false;
    }
  }

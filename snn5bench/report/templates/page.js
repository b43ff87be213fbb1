"use strict";
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const json = (id) => JSON.parse(document.getElementById(id).textContent);
  const specs = json("specs"), themes = json("themes");

  async function dataTables() {
    const text = document.getElementById("datatables").textContent;
    const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    const module = await import(address);
    URL.revokeObjectURL(address);
    return module.default;
  }

  /* Numbers and words alike; what is missing comes last in both directions. */
  function sorter(sign) {
    return (a, b) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      const x = Number(a), y = Number(b);
      return sign * (Number.isNaN(x) || Number.isNaN(y) ? String(a).localeCompare(String(b)) : x - y);
    };
  }

  function groupHead(rows, columns) {
    const first = rows.nodes()[0];
    const line = document.createElement("tr");
    const head = document.createElement("th");
    const text = document.createElement("span");
    const badge = document.createElement("span");
    head.colSpan = columns;
    head.scope = "rowgroup";
    text.className = "group";
    text.textContent = first.dataset.dataset + " ";
    badge.className = "badge " + (first.dataset.kind === "needs time" ? "time" : "control");
    badge.textContent = first.dataset.kind;
    text.append(badge);
    head.append(text);
    line.append(head);
    return line;
  }

  async function table() {
    const DataTable = await dataTables();
    Object.assign(DataTable.ext.type.order, { "measure-asc": sorter(1), "measure-desc": sorter(-1) });
    const element = document.getElementById("leaderboard");
    const heads = [...element.tHead.rows[0].cells];
    const at = (key) => heads.findIndex((head) => head.dataset.key === key);
    const controls = document.querySelector(".controls");
    controls.hidden = false;
    const narrow = window.innerWidth < 900;
    const bestFirst = ["accuracy", "temporal_gain", "activation_sparsity"].map(at);
    const shown = new DataTable(element, {
      paging: false,
      autoWidth: false,
      info: true,
      order: [[at("rank"), "asc"]],
      orderFixed: { pre: [[at("dataset"), "asc"]] },
      rowGroup: { dataSrc: (row) => row[at("dataset")].display, startRender: (rows) => groupHead(rows, element.tHead.rows[0].cells.length) },
      layout: {
        topStart: [() => controls, { buttons: [{ extend: "colvis", text: "Columns", background: false, columns: heads.map((_, i) => i).filter((i) => i > at("method")) }] }],
        topEnd: "search",
        bottomStart: "info",
        bottomEnd: null,
      },
      columnDefs: [
        { targets: "_all", type: "measure" },
        { targets: bestFirst, orderSequence: ["desc", "asc", ""] },
        { targets: at("dataset"), visible: false },
        { targets: narrow ? heads.flatMap((head, i) => (head.classList.contains("wide-only") ? [i] : [])) : [], visible: false },
      ],
    });
    /* DataTables reports the direction of the fixed order, that of the datasets; screen readers need the column's own. */
    const announce = () => {
      for (const head of heads) {
        const way = ["asc", "desc"].find((name) => head.classList.contains("dt-ordering-" + name));
        if (way) head.setAttribute("aria-sort", way + "ending");
        else head.removeAttribute("aria-sort");
      }
    };
    shown.on("draw", announce);
    announce();
    const region = element.closest(".scroll");
    const container = shown.table().container();
    region.before(container);
    container.querySelector(".dt-layout-table").before(region);
    region.append(element);
    const pick = document.getElementById("pick-dataset");
    const ranked = document.getElementById("only-ranked");
    const node = (index) => shown.row(index).node();
    const redraw = () => {
      shown.search.fixed("dataset", (_text, _data, index) => !pick.value || node(index).dataset.dataset === pick.value);
      shown.search.fixed("ranked", (_text, _data, index) => !ranked.checked || node(index).dataset.ranked === "yes");
      shown.draw();
    };
    pick.addEventListener("change", redraw);
    ranked.addEventListener("change", redraw);
    document.documentElement.classList.toggle("dark", dark.matches);
  }

  const actions = { export: { svg: true, png: true }, source: false, compiled: false, editor: false };

  async function draw(place) {
    place.dataset.drawn = "begun";
    const name = place.dataset.spec;
    const config = structuredClone(themes[dark.matches ? "dark" : "light"]);
    config.legend.columns = Math.max(1, Math.floor(place.clientWidth / 150));
    await window.vegaEmbed(place, specs[name], {
      config,
      renderer: "svg",
      theme: undefined,
      downloadFileName: name,
      tooltip: { theme: dark.matches ? "dark" : "light" },
      actions,
    });
    place.querySelector("summary")?.setAttribute("aria-label", "Save this chart");
    place.dataset.drawn = "yes";
  }

  /* A chart is drawn when it comes near, or all at once for paper. */
  function charts() {
    const places = [...document.querySelectorAll(".chart")];
    const near = new IntersectionObserver((seen) => {
      for (const { isIntersecting, target } of seen) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        if (!target.dataset.drawn) draw(target);
      }
    }, { rootMargin: "1200px" });
    places.forEach((place) => near.observe(place));
    window.addEventListener("beforeprint", () => places.filter((place) => !place.dataset.drawn && place.checkVisibility()).forEach(draw));
    dark.addEventListener("change", () => places.filter((place) => place.dataset.drawn).forEach(draw));
  }

  dark.addEventListener("change", () => document.documentElement.classList.toggle("dark", dark.matches));
  if (window.vegaEmbed) charts();
  table().then(() => { document.documentElement.dataset.ready = "yes"; });
})();

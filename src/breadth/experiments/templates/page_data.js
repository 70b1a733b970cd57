  // ---- the page's data: JSON, or its packed form where it is long; all of it is unpacked before anything is drawn ------
  "use strict";
  const byId = (id) => document.getElementById(id);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const unpacked = new Map();
  const unpack = async (element) => {
    const bytes = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    unpacked.set(element, JSON.parse(await new Response(stream).text()));
  };
  if (typeof DecompressionStream === "undefined") {
    byId("too-old").hidden = false; // said on the page; its tables and words need no script
    return;
  }
  await Promise.all(all('script[type="application/zlib+base64"]').map(unpack));
  const json = (element) => unpacked.get(element) || JSON.parse(element.textContent);

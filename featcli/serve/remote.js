"use strict";

// Requests to the featcli that served this page, each with the token of its address.

const token = new URLSearchParams(location.search).get("token") || "";

/** Ask; throws an Error with what featcli says, and `gone` where something has to be sent again. */
async function ask(path, body, name) {
  const isRaw = body instanceof Blob;
  const address = name === undefined ? path : `${path}?name=${encodeURIComponent(name)}`;
  let reply;
  try {
    reply = await fetch(address, {
      method: "POST", body: isRaw ? body : JSON.stringify(body),
      headers: { "X-Featcli-Token": token, "Content-Type": isRaw ? "application/octet-stream" : "application/json" },
    });
  } catch {
    throw new Error("featcli serve does not answer: it has ended, or what was sent is too large");
  }
  if (reply.ok && reply.headers.get("Content-Type") === "application/octet-stream") return withPictures(await reply.arrayBuffer());
  const found = await reply.json();
  if (reply.ok) return found;
  throw Object.assign(new Error(found.error), { gone: Boolean(found.gone) });
}

/** An answer with PNGs: the length of its JSON, the JSON, and the PNG of each part that says how long it is. */
function withPictures(buffer) {
  const length = new DataView(buffer).getUint32(0);
  const found = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let begin = 4 + length;
  for (const { drawn } of found.steps.flatMap((step) => step.parts).filter((part) => part.drawn)) {
    drawn.png = new Blob([new Uint8Array(buffer, begin, drawn.size)], { type: "image/png" });
    begin += drawn.size;
  }
  return found;
}

/** The picture of a part of a result: it came with the answer, or is asked for. */
async function pictureOfPart(key, number, { drawn }) {
  if (!drawn) return drawnBy(key, number);
  return { bitmap: await createImageBitmap(drawn.png), mapping: drawn };
}

/** The picture of an array, and the mapping by which its levels are values. */
async function drawnBy(key, part) {
  const reply = await fetch(`/map/${key}/${part}?view=${$("view").value}`, { headers: { "X-Featcli-Token": token } });
  if (!reply.ok) throw new Error((await reply.json()).error);
  const mapping = JSON.parse(reply.headers.get("X-Featcli-Mapping"));
  return { bitmap: await createImageBitmap(await reply.blob()), mapping };
}

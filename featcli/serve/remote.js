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
  const found = await reply.json();
  if (reply.ok) return found;
  throw Object.assign(new Error(found.error), { gone: Boolean(found.gone) });
}

/** The picture of an array, and the mapping by which its levels are values. */
async function drawnBy(key, part) {
  const reply = await fetch(`/map/${key}/${part}?view=${$("view").value}`, { headers: { "X-Featcli-Token": token } });
  if (!reply.ok) throw new Error((await reply.json()).error);
  const mapping = JSON.parse(reply.headers.get("X-Featcli-Mapping"));
  return { bitmap: await createImageBitmap(await reply.blob()), mapping };
}

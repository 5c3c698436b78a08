"use strict";

// The picture: dropped, chosen, from the camera, or one that the command line named.

/** Send a picture, show it, and run the steps on it. */
async function take(blob, name) {
  $("picture-error").textContent = "";
  try {
    const found = await ask("/api/picture", blob, name);
    work.blob = blob;
    $("given").selectedIndex = -1; // so that one of the command line can be chosen again
    await usePicture(found);
  } catch (error) {
    $("picture-error").textContent = error.message;
  }
}

/** Work on a picture that the server has. */
async function usePicture(found) {
  Object.assign(work, { picture: found.picture, name: found.name });
  const drawn = await drawnBy(found.picture, 0);
  fill($("picture").parentElement, drawn, { ...found, part: found.name }, "the picture");
  $("picture-error").textContent = found.notes.join("; ");
  for (const id of ["classify", "explain-model"]) $(id).disabled = false;
  $("classes").replaceChildren();
  for (const step of work.steps) step.key = null;
  changed();
}

/** Send the picture once more, where the server had to forget it. */
async function sendAgain() {
  if (work.blob) await take(work.blob, work.name);
  else throw new Error("the picture is no longer kept: start featcli serve with it again");
}

function connectDrop() {
  const drop = $("drop");
  for (const kind of ["dragover", "dragenter"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) take(file, file.name);
  });
  $("file").addEventListener("change", () => { const [file] = $("file").files; if (file) take(file, file.name); });
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files || [];
    if (file) take(file, file.name);
  });
}

/** Show what the camera sees, until a picture is taken. */
async function startCamera() {
  $("picture-error").textContent = "";
  try {
    work.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } } });
  } catch (error) {
    $("picture-error").textContent = `no camera: ${error.message || "this page may not use one"}`;
    return;
  }
  $("camera").srcObject = work.stream;
  for (const id of ["camera", "camera-take"]) $(id).hidden = false;
  await $("camera").play();
}

async function takeCamera() {
  const video = $("camera");
  const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  for (const track of work.stream.getTracks()) track.stop();
  for (const id of ["camera", "camera-take"]) $(id).hidden = true;
  await take(await new Promise((done) => { canvas.toBlob(done, "image/png"); }), "camera.png");
}

/** The pictures of the command line. */
function connectGiven() {
  $("given").replaceChildren(...given.pictures.map((one, i) => make("option", { value: i }, one.name)));
  $("given-label").hidden = !given.pictures.length;
  $("given").addEventListener("change", () => { work.blob = null; usePicture(given.pictures[$("given").value]); });
  if (given.pictures.length) usePicture(given.pictures[0]);
}

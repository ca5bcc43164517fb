"use strict";

// The card's two pictures: the image around a pixel, and where in the whole image that is.
report.pictures = (() => {
  const CROP = 48; // least side of the part that is shown, in pixels of the stored picture
  const WHOLE = 352; // longer side of the whole image on its canvas
  const cache = new Map();
  let wanted = null;

  const load = (image) => {
    if (!cache.has(image.id)) {
      const element = new Image();
      element.src = image.picture;
      cache.set(image.id, element.decode().then(() => element));
    }
    return cache.get(image.id);
  };

  // Red on white is seen on any picture.
  const outline = (context, trace) => {
    context.beginPath();
    trace(context);
    for (const [line, color] of [[6, "#fff"], [3, "#e4002b"]]) {
      context.lineWidth = line;
      context.strokeStyle = color;
      context.stroke();
    }
  };

  // The square of the original image that the crop shows.
  const around = (image, picture, row, col) => {
    const side = Math.round(CROP * Math.max(1, image.width / picture.naturalWidth));
    return { left: col + 0.5 - side / 2, top: row + 0.5 - side / 2, side };
  };

  const drawCrop = (canvas, image, picture, { left, top, side }, row, col) => {
    const context = canvas.getContext("2d");
    const scale = canvas.width / side;
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = false; // what the network saw, not what lies between
    context.drawImage(picture, -left * scale, -top * scale, image.width * scale, image.height * scale);
    const [x, y] = [(col + 0.5 - left) * scale, (row + 0.5 - top) * scale];
    outline(context, (path) => path.arc(x, y, Math.max(1.6 * scale, 14), 0, 2 * Math.PI));
  };

  const drawWhole = (canvas, image, picture, { left, top, side }) => {
    const scale = WHOLE / Math.max(image.width, image.height);
    canvas.width = Math.round(image.width * scale);
    canvas.height = Math.round(image.height * scale);
    const context = canvas.getContext("2d");
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    const [x, y] = [Math.max(left, 0), Math.max(top, 0)];
    const [right, bottom] = [Math.min(left + side, image.width), Math.min(top + side, image.height)];
    outline(context, (path) => path.rect(x * scale, y * scale, (right - x) * scale, (bottom - y) * scale));
  };

  // Draws both; pictures are decoded when they are first wanted, and only the last one asked for is drawn.
  const draw = async (crop, whole, image, row, col) => {
    wanted = image;
    const picture = await load(image);
    if (wanted !== image) return null;
    const part = around(image, picture, row, col);
    drawCrop(crop, image, picture, part, row, col);
    drawWhole(whole, image, picture, part);
    return part;
  };

  return { draw };
})();

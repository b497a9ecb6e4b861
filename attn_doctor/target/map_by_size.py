# mAP50-95 by object size, of the last weights of a training. Runs in the training's own process, after channel.py.
#
# Sizes are COCO's (https://cocodataset.org/#detection-eval): an object is small below 32 x 32 pixels of area, medium below
# 96 x 96, large from there on. Area is that of the box, in pixels of the image as it is validated, after ultralytics resized
# it to imgsz: what the model sees decides. Images of COCO have 640 pixels, so at imgsz=640 these are COCO's own areas.
#
# As in COCO's evaluation, an object of another size is no mistake: a prediction that finds it is left out, and so is a
# prediction without an object whose own box has another size. A prediction is right if it overlaps a free object of its
# class by the limit; the surest prediction chooses first. The area under the curve is taken as ultralytics takes it (the
# envelope, at 101 values of recall), so that all sizes together give ultralytics' own mAP50-95.
SMALL, MEDIUM = 32**2, 96**2
AREAS = {"small": (0.0, SMALL), "medium": (SMALL, MEDIUM), "large": (MEDIUM, float("inf"))}  # from, and below
LIMITS = [0.5 + 0.05 * step for step in range(10)]  # of the overlap (intersection over union)


def by_size(trainer):
    """Return mAP50-95 by size ("small", "medium", "large") of the last weights on the validation set, from 0 to 1.

    `trainer`: an ultralytics detection trainer that has validated at least once; its averaged weights (EMA) are the last
    ones, as in last.pt. A size of which the validation set has no object is left out. Raises what ultralytics raises.
    """
    images = list(validated(trainer))
    found = {name: mean_precision(images, low, high) for name, (low, high) in AREAS.items()}
    return {name: value for name, value in found.items() if value is not None}


def validated(trainer):
    """Yield each image of the validation set as arrays (see `mean_precision`). The trainer and its metrics are not changed."""
    import torch

    averaged = getattr(trainer, "ema", None)
    model = averaged.ema if averaged else trainer.model
    validator, trained = trainer.validator, model.training
    kept = getattr(validator, "end2end", None)
    validator.device, validator.data = trainer.device, trainer.data
    validator.end2end = getattr(model, "end2end", False)
    model.float().eval()
    try:
        with torch.no_grad():
            for batch in validator.dataloader:
                batch = validator.preprocess(batch)
                batch["img"] = batch["img"].float()
                found = validator.postprocess(model(batch["img"]))
                for place, predictions in enumerate(found):
                    yield as_arrays(predictions, batch, place)
    finally:
        validator.end2end = kept
        model.train(trained)


def as_arrays(predictions, batch, place):
    """Return the predictions and objects of one image as arrays, boxes as (left, top, right, bottom) in pixels.

    place: the index of the image in the batch.
    """
    import numpy

    if not isinstance(predictions, dict):  # older releases: a row for each, (box, confidence, class)
        predictions = {"bboxes": predictions[:, :4], "conf": predictions[:, 4], "cls": predictions[:, 5]}
    mine = batch["batch_idx"] == place
    centres = batch["bboxes"][mine].cpu().numpy().reshape(-1, 4)
    height, width = batch["img"].shape[2:]
    half = centres[:, 2:] / 2
    objects = numpy.concatenate([centres[:, :2] - half, centres[:, :2] + half], 1)
    return {
        "boxes": predictions["bboxes"].cpu().numpy().reshape(-1, 4),
        "sure": predictions["conf"].cpu().numpy(),
        "classes": predictions["cls"].cpu().numpy(),
        "objects": objects * numpy.array([width, height, width, height]),
        "object_classes": batch["cls"][mine].cpu().numpy().reshape(-1),
    }


def mean_precision(images, low=0.0, high=float("inf")):
    """Return mAP50-95 over the objects with `low` <= area < `high`, in square pixels; None if there is no such object.

    images: for each image a dict of arrays: "boxes" (n, 4), "sure" (n,), "classes" (n,), "objects" (m, 4), "object_classes" (m,).
    """
    import numpy

    judged = [overlaps_judged(image, low, high) for image in images]
    classes = numpy.concatenate([image["classes"] for image in images] or [numpy.zeros(0)])
    sure = numpy.concatenate([image["sure"] for image in images] or [numpy.zeros(0)])
    right = numpy.concatenate([pair[0] for pair in judged] or [numpy.zeros((0, len(LIMITS)), bool)])
    left_out = numpy.concatenate([pair[1] for pair in judged] or [numpy.zeros((0, len(LIMITS)), bool)])
    counts = {}
    for image in images:
        inside = within(image["objects"], low, high)
        for name in image["object_classes"][inside]:
            counts[name] = counts.get(name, 0) + 1
    order = numpy.argsort(-sure, kind="stable")
    values = []
    for name, count in counts.items():
        mine = order[classes[order] == name]
        for step in range(len(LIMITS)):
            counted = mine[~left_out[mine, step]]
            values.append(precision_area(right[counted, step], count))
    return float(sum(values) / len(values)) if values else None


def within(boxes, low, high):
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return (area >= low) & (area < high)


def overlaps_judged(image, low, high):
    """Return (right, left out) for the predictions of one image: two arrays [predictions, IoU limits] of booleans.

    right: the prediction finds an object of this size. left out: it does not count, because the object that it finds has another size,
    or because it finds none and has itself another size.
    """
    import numpy

    boxes, objects = image["boxes"], image["objects"]
    shape = (len(boxes), len(LIMITS))
    right = numpy.zeros(shape, bool)
    left_out = numpy.repeat(~within(boxes, low, high)[:, None], len(LIMITS), 1)
    if not shape[0] or not len(objects):
        return right, left_out
    inside = within(objects, low, high)
    overlap = overlaps(objects, boxes) * (image["object_classes"][:, None] == image["classes"][None])
    order = numpy.argsort(-image["sure"], kind="stable")
    meeting = order[overlap[:, order].max(0) >= LIMITS[0]]
    for step, limit in enumerate(LIMITS):
        free = numpy.ones(len(objects), bool)
        for place in meeting:
            near = numpy.flatnonzero(free & (overlap[:, place] >= limit))
            if len(near):
                chosen = max(near, key=lambda one: (inside[one], overlap[one, place]))
                free[chosen] = False
                right[place, step], left_out[place, step] = inside[chosen], not inside[chosen]
    return right, left_out


def overlaps(first, second):
    """Return the intersection over union of each box of `first` (n, 4) with each of `second` (m, 4), as an array (n, m)."""
    import numpy

    corner = numpy.maximum(first[:, None, :2], second[None, :, :2])
    other = numpy.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = numpy.clip(other - corner, 0, None).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (first, second)]
    return shared / numpy.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


def precision_area(right, count):
    """Return the area under the curve of precision over recall, from 0 to 1.

    right: for each prediction whether it is right, beginning with the most confident one. count: the number of objects.
    """
    import numpy

    if not right.any():
        return 0.0
    found = right.cumsum()
    recall, precision = found / count, found / numpy.arange(1, len(found) + 1)
    envelope = numpy.maximum.accumulate(precision[::-1])[::-1]  # the best precision at this recall or a larger one
    grid = numpy.linspace(0, 1, 101)
    heights = numpy.interp(grid, numpy.append(0.0, recall), numpy.append(1.0, envelope))
    heights[grid > recall[-1]] = 0.0
    return float(((heights[1:] + heights[:-1]) / 2).sum() / 100)

# The data set of `study --demo`: coloured shapes on a grey ground, in ultralytics' own layout. Nothing is downloaded.
#
# Runs before study_look.py. Needs numpy and OpenCV, which ultralytics requires.
import hashlib

SHAPES = ("circle", "square", "triangle")
# Blue, green, red as OpenCV stores them. The colour says nothing of the shape.
COLOURS = ((60, 60, 220), (70, 180, 60), (210, 110, 50), (40, 190, 220), (190, 70, 180))
MOST_SHAPES = 4  # on one image


def one_image(random_numbers, size):
    """Return (image, objects) with one to four shapes that do not overlap.

    image: [size, size, 3]. objects: [(index in SHAPES, left, top, width, height)], places and sizes in pixels.
    """
    import cv2
    import numpy

    image = random_numbers.normal(118, 14, (size, size, 3)).clip(0, 255).astype(numpy.uint8)
    boxes = []
    for _ in range(int(random_numbers.integers(1, MOST_SHAPES + 1))):
        for _ in range(20):  # tries to find a free place
            side = int(random_numbers.integers(size // 10, size // 3))
            left, top = (int(place) for place in random_numbers.integers(1, size - side - 1, 2))
            if all(left + side < x or x + w < left or top + side < y or y + h < top for _, x, y, w, h in boxes):
                break
        else:
            continue
        shape = int(random_numbers.integers(len(SHAPES)))
        colour = COLOURS[int(random_numbers.integers(len(COLOURS)))]
        right, bottom = left + side - 1, top + side - 1  # the last pixels that belong to it
        if SHAPES[shape] == "square":
            cv2.rectangle(image, (left, top), (right, bottom), colour, -1)
        elif SHAPES[shape] == "triangle":
            corners = numpy.array([(left + (side - 1) // 2, top), (left, bottom), (right, bottom)], numpy.int32)
            cv2.fillPoly(image, [corners], colour)
        else:
            # In sixteenths of a pixel: the circle touches all four sides of its box.
            centre = (16 * left + 8 * (side - 1), 16 * top + 8 * (side - 1))
            cv2.circle(image, centre, 8 * (side - 1), colour, -1, shift=4)
        boxes.append((shape, left, top, side, side))
    return image, boxes


def write_shapes(folder, train, val, size, seed):
    """Write a data set of coloured shapes into a new folder, and return the path of its YAML file. An existing one is not changed.

    `train`, `val`: the number of images of each part. `size`: the side of an image in pixels.

    If writing is interrupted, no folder of that name exists.
    """
    import shutil

    import cv2
    import numpy

    described = os.path.join(folder, "shapes.yaml")
    if os.path.exists(described):
        return described
    beside = folder + ".new"
    shutil.rmtree(beside, ignore_errors=True)
    random_numbers = numpy.random.default_rng(seed)
    for part, count in (("train", train), ("val", val)):
        for kind in ("images", "labels"):
            os.makedirs(os.path.join(beside, kind, part))
        for number in range(count):
            image, boxes = one_image(random_numbers, size)
            name = "{:04d}".format(number)
            cv2.imwrite(os.path.join(beside, "images", part, name + ".png"), image)
            with open(os.path.join(beside, "labels", part, name + ".txt"), "w", encoding="ascii") as file:
                for shape, left, top, width, height in boxes:
                    middle = (left + width / 2) / size, (top + height / 2) / size
                    file.write("{} {:.6f} {:.6f} {:.6f} {:.6f}\n".format(shape, *middle, width / size, height / size))
    names = "".join("  {}: {}\n".format(number, name) for number, name in enumerate(SHAPES))
    with open(os.path.join(beside, "shapes.yaml"), "w", encoding="utf-8") as file:
        # JSON's quoting is also YAML's.
        file.write("path: {}\ntrain: images/train\nval: images/val\nnames:\n{}".format(json.dumps(folder), names))
    os.rename(beside, folder)
    return described

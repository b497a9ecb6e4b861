# Serves the numbered orders that the doctor puts into CONFIG["orders"]: one after the other, with an answer each.
#
# Runs before tuning_worker.py and runtime_worker.py.
PAUSE = 0.004  # seconds between two looks for the next order
SIGN_OF_LIFE = 2.0  # seconds: a process that waits for its turn is not a process that hangs


def next_order(number):
    """Wait for the file of this order, and return its content."""
    place = os.path.join(CONFIG["orders"], "{}.json".format(number))
    told = time.monotonic()
    while not os.path.exists(place):
        if time.monotonic() - told > SIGN_OF_LIFE:
            told = time.monotonic()
            tell("waiting", number)
            _watch()
        time.sleep(PAUSE)
    with open(place, encoding="utf-8") as file:
        return json.loads(file.read())


def serve(answer):
    """Answer orders until the doctor ends this process. An exception of an order is sent as its answer.

    `answer`: a function that carries out an order, and returns the fields of its answer.
    """
    gc.collect()
    gc.freeze()  # keeps existing objects out of garbage collection: scanning them takes a tenth of a second
    gc.disable()
    number = 0
    while True:
        number += 1
        order = next_order(number)
        _watch()
        try:
            found = answer(order)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other processes go on
            text = words_of(error)
            found = {"failed": text[:1000]}
            error = None
        gc.collect()
        tell("answer", dict(found, number=number))

# The state of a training at the end of an epoch, and how it comes back, so that a training that was killed goes on to the last digit.
#
# Ultralytics' own last.pt is not enough for this (8.4.190, engine/trainer.py, save_model): it holds the averaged weights in 16 bits
# and no raw weights, the optimiser's sums in 16 bits, no random numbers, no gradients that wait for their step, and nothing of the data.
#
# Runs after trial_cell.py, in one namespace with it.
import random


def numbers_of(generator_state):
    """Return the state of a random generator as plain numbers, which torch.load reads without running code."""
    name, keys, *rest = generator_state
    return [name, [int(key) for key in keys], *rest]


def random_state():
    import numpy

    return {
        "python": random.getstate(),
        "numpy": numbers_of(numpy.random.get_state()),
        "torch": torch.get_rng_state(),
        "cuda": list(torch.cuda.get_rng_state_all()) if torch.cuda.is_available() else [],
    }


def set_random_state(state):
    import numpy

    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    name, keys, *rest = state["numpy"]
    numpy.random.set_state((name, numpy.array(keys, dtype=numpy.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def training_state(trainer, last_step):
    """Return everything that the next epoch of this trainer depends on.

    `last_step`: the batch after which the optimiser made its last step.
    """
    bare = trainer.model
    criterion = getattr(bare, "criterion", None)
    numbers = None
    if criterion is not None:
        numbers = {name: value for name, value in vars(criterion).items() if isinstance(value, (int, float))}
    dataset = trainer.train_loader.dataset
    return {
        "epochs": trainer.epoch + 1,
        "model": bare.state_dict(),
        "ema": trainer.ema.ema.state_dict(),
        "updates": int(trainer.ema.updates),
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "gradients": {name: p.grad for name, p in bare.named_parameters() if p.grad is not None},
        "criterion": numbers,
        "accumulate": int(trainer.accumulate),
        "last_step": last_step,
        "best_fitness": None if trainer.best_fitness is None else float(trainer.best_fitness),
        # The images from which a mosaic takes its other three: those that were read last.
        "buffer": [int(index) for index in getattr(dataset, "buffer", ())],
        "random": random_state(),
        "csv": trainer.csv.read_text("utf-8") if trainer.csv.exists() else "",
    }


def put_back(trainer, state):
    """Put weights, moving averages and the state of the optimiser into a new trainer."""
    bare = trainer.model
    bare.load_state_dict(state["model"])
    trainer.ema.ema.load_state_dict(state["ema"])
    trainer.ema.updates = state["updates"]
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.scaler.load_state_dict(state["scaler"])
    trainer.best_fitness = state["best_fitness"]
    if state["criterion"] is not None:
        bare.criterion = bare.init_criterion()
        vars(bare.criterion).update(state["criterion"])
    trainer.csv.write_text(state["csv"], "utf-8")


def put_back_data(trainer, state):
    """Put the data loader into its earlier state: the order of the images, mosaic on or off, and the images of its buffer.

    The order is drawn again from its seed, pass by pass, without reading an image. That is necessary because the loader's
    generator is also used at the start and at the end of each pass.
    """
    loader = trainer.train_loader
    batches = len(loader)
    closing = max(0, trainer.epochs - trainer.args.close_mosaic) if trainer.args.close_mosaic else trainer.epochs
    for epoch in range(state["epochs"]):
        if epoch == closing:
            loader.reset()
        if getattr(loader, "iterator", None) is None:
            loader.iterator = loader._get_iterator()
        for _ in range(batches):
            next(loader.iterator._sampler_iter)
    if state["epochs"] > closing:
        trainer._close_dataloader_mosaic()
        loader.reset = lambda: None  # the loop closes the mosaic at its first epoch, and would begin another order
    for index in state["buffer"]:
        loader.dataset.load_image(index)


def put_back_draws(trainer, state):
    """Restore the gradients that wait for the optimiser's next step, and the random generators.

    An epoch begins with both.
    """
    trainer.accumulate = state["accumulate"]
    for name, parameter in trainer.model.named_parameters():
        gradient = state["gradients"].get(name)
        parameter.grad = None if gradient is None else gradient.to(parameter.device)
    set_random_state(state["random"])


def keep(state, path):
    """Write a state to a file. After a kill or a power failure the file contains this state or the previous one."""
    beside = path + ".new"
    with open(beside, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def kept(path, key):
    """Return the stored state of the training with this `key`.

    None if there is none, or if it cannot be read: then the training begins again at its first epoch.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001 - no file, or one that a full disk cut
        return None
    return state if isinstance(state, dict) and state.get("key") == key else None

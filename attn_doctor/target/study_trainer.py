# One training of a study: ultralytics' own trainer, with the attention of the arm, a proof of its kernel in this very run, and a state
# that is kept at the end of every epoch.
#
# Runs after study_state.py and study_gauges.py, in one namespace with them.
import hashlib

MOST_PROVEN = 300  # letters of the name of a kernel
SIGN_OF_LIFE = 1.0  # seconds between two
ALONE = 60.0  # seconds to wait for an earlier process of this training to end


class Finished(BaseException):
    """End the trainer after its last epoch.

    After that epoch ultralytics would validate best.pt and strip the weights, which are no part of a study.
    """


class Stopped(BaseException):
    """End the trainer between two epochs. The text is the reason."""


class Proof:
    """Record one training step: the operators of every attention call, and the kernels that torch.profiler saw."""

    def __init__(self, layers):
        from torch.profiler import ProfilerActivity, profile

        self.watch = Watch()
        self.hooks = self.watch.hook(layers)
        self.on_gpu = next(layers[0].parameters()).is_cuda if layers else False
        self.profile = profile(activities=[ProfilerActivity.CUDA if self.on_gpu else ProfilerActivity.CPU])
        self.began = time.monotonic()
        self.profile.__enter__()
        self.watch.__enter__()

    def end(self):
        """Return (attention calls, names, seconds of the step). The names are of kernels on a GPU, of operators on a CPU."""
        if self.on_gpu:
            torch.cuda.synchronize()
        self.watch.__exit__(None, None, None)
        self.profile.__exit__(None, None, None)
        for hook in self.hooks:
            hook.remove()
        names = [event.key[:MOST_PROVEN] for event in self.profile.key_averages()]
        if not self.on_gpu:  # operators; the log-softmax is that of the loss
            names = [name for name in names if name.startswith("aten::") and "log_softmax" not in name]
        found = sorted({name for name in names if INTERESTING.search(name)})
        return self.watch.calls, found[:60], time.monotonic() - self.began


class Run:
    """Follow one trainer by its callbacks. `told`: the records that were sent about each epoch; they are a part of the state."""

    def __init__(self):
        self.began = time.monotonic()
        self.parent = os.getppid()
        self.path = os.path.join(CONFIG["folder"], "state.pt")
        self.state = kept(self.path, CONFIG["key"])
        self.told = list(self.state["told"]) if self.state else []
        self.last_step = self.state["last_step"] if self.state else -1
        self.waiting = self.state is not None  # the first epoch has yet to get its gradients and random numbers
        self.proof = None
        self.proven = False
        self.spent_on_proof = 0.0
        self.said = 0.0
        self.validation = None
        self.epoch = None
        self.batch = -1
        self.gauges = Gauges(CONFIG["device"])

    def callbacks(self):
        return {
            "on_train_start": self.train_begins,
            "on_train_epoch_start": self.epoch_begins,
            "on_train_batch_start": self.batch_begins,
            "on_train_batch_end": self.batch_ends,
            "on_train_epoch_end": self.epoch_ends,
            "on_val_start": self.validation_begins,
            "on_val_batch_end": self.validation_goes_on,
            "on_val_end": self.validation_ends,
            "on_fit_epoch_end": self.all_ends,
        }

    def train_begins(self, trainer):
        if CONFIG["threads"]:
            torch.set_num_threads(CONFIG["threads"])
        if self.state:
            if self.state["epochs"] >= trainer.epochs:
                self.finish()
            put_back_data(trainer, self.state)

    def epoch_begins(self, trainer):
        if trainer.batch_size != CONFIG["batch"]:
            # ultralytics halves the batch and goes on: such a training cannot be compared with the others.
            raise MemoryError("out of memory with {} images in a batch".format(CONFIG["batch"]))
        if self.waiting:
            put_back_draws(trainer, self.state)
            self.waiting = False
            self.state = None
        elif self.epoch == trainer.epoch:  # ultralytics begins an epoch again after a loss that is no number
            self.last_step = -1
        self.epoch = trainer.epoch
        self.batch = -1
        self.spent_on_proof = 0.0
        self.gauges.begin()
        self.epoch_began = time.monotonic()

    def batch_begins(self, trainer):
        if os.getppid() != self.parent:
            os._exit(4)  # attn-doctor was killed: nobody hears what this training has to say
        self.batch += 1
        trainer.train_loader.__dict__.pop("reset", None)
        if not self.proven and self.batch == min(1, len(trainer.train_loader) - 1):
            self.proof = Proof([m for m in trainer.model.modules() if type(m) in self.layer_types])

    def batch_ends(self, trainer):
        place = self.batch + len(trainer.train_loader) * trainer.epoch
        if place - self.last_step >= trainer.accumulate:
            trainer.step_now()
            self.last_step = place
        if self.proof:
            calls, names, self.spent_on_proof = self.proof.end()
            tell("proof", {"calls": calls, "kernels": names})
            self.proof, self.proven = None, True
        self.alive("training", self.batch + 1, len(trainer.train_loader), losses_of(trainer))

    def epoch_ends(self, trainer):
        if self.gauges.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds = time.monotonic() - self.epoch_began
        self.peak, self.energy = self.gauges.peak(), self.gauges.joules()

    def validation_begins(self, validator):
        self.validation_began = time.monotonic()
        self.validated = 0

    def validation_goes_on(self, validator):
        self.validated += 1
        self.alive("validating", self.validated, len(validator.dataloader), {})

    def validation_ends(self, validator):
        self.validation = time.monotonic() - self.validation_began

    def all_ends(self, trainer):
        """Send the record of an epoch, after the state for the next epoch was stored.

        So a killed training loses no epoch whose record was sent.
        """
        images = len(trainer.train_loader.dataset)
        timed = self.seconds - self.spent_on_proof
        counted = images - (trainer.batch_size if self.spent_on_proof else 0)
        values = {name: float(value) for name, value in trainer.metrics.items()}
        epoch = {
            "number": trainer.epoch + 1,
            "seconds": self.seconds,
            "validation_seconds": self.validation,
            "images_per_second": counted / timed if counted > 0 and timed > 0 else None,
            "losses": {**losses_of(trainer), **{name: v for name, v in values.items() if name.startswith("val/")}},
            "precision": values.get("metrics/precision(B)"),
            "recall": values.get("metrics/recall(B)"),
            "map50": values.get("metrics/mAP50(B)"),
            "map50_95": values.get("metrics/mAP50-95(B)"),
            "peak_memory": self.peak,
            "joules": self.energy,
            "learning_rates": {name: float(rate) for name, rate in trainer.lr.items()},
        }
        self.told.append(epoch)
        last = trainer.epoch + 1 >= trainer.epochs
        state = dict(training_state(trainer, self.last_step), key=CONFIG["key"], told=self.told, end=None)
        if last:
            state["end"] = {"sizes": sizes_of(trainer), "weights": digest(trainer.ema.ema.state_dict())}
        keep(state, self.path)
        tell("epoch", epoch)
        if last:
            self.state = state
            self.finish()
        left = CONFIG["seconds_left"]
        if os.path.exists(CONFIG["stop"]):
            raise Stopped("stopped between two epochs")
        if left is not None and time.monotonic() - self.began + self.seconds > left:
            raise Stopped("the budget ended")

    def finish(self):
        tell("finished", self.state["end"])
        raise Finished()

    def alive(self, doing, done, of, losses):
        now = time.monotonic()
        if now - self.said < SIGN_OF_LIFE:
            return
        self.said = now
        memory, busy = self.gauges.now()
        data = {"doing": doing, "epoch": (self.epoch or 0) + 1, "done": done, "of": of, "losses": losses}
        send("alive", "training", dict(data, memory=memory, busy=busy))


def losses_of(trainer):
    """Return the mean losses of the epoch so far, not rounded, by the names of ultralytics' columns."""
    total = trainer.tloss
    if total is None:
        return {}
    if not isinstance(total, dict):  # releases before 8.4: one tensor, in the order of the names
        total = dict(zip(trainer.loss_names, total.reshape(-1)))
    return {"train/{}".format(name): float(value) for name, value in total.items()}


def digest(tensors):
    """Return the SHA-256 of weights: their names, dtypes and bytes, in the order of the names.

    It is not the hash of a file, because a weights file contains its date.
    """
    made = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        made.update("{} {} {}\n".format(name, tensor.dtype, list(tensor.shape)).encode())
        made.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return made.hexdigest()


def sizes_of(trainer):
    """Return mAP50-95 by the size of the objects; an empty result if it cannot be computed for this data set."""
    try:
        return {name: float(value) for name, value in by_size(trainer).items()}
    except Exception as error:  # noqa: BLE001 - the training itself is whole
        tell("note", "mAP by size: {}".format(error))
        return {}


def trainer_class(base, run):
    """Return ultralytics' trainer with three changes: `run` decides on the optimiser's steps, a stored state is restored, and no evaluation
    follows the last epoch.

    ultralytics counts the batches since the last step in a local variable, which a resumed training would lose. The count here is
    the same: one step after each `accumulate` batches.
    """

    class StudyTrainer(base):
        def optimizer_step(self):
            pass

        def step_now(self):
            super().optimizer_step()

        def resume_training(self, ckpt):
            if run.state:
                put_back(self, run.state)
                self.start_epoch = run.state["epochs"]

        def final_eval(self):
            pass

    return StudyTrainer

"""Reports of six kinds and two studies, as pages are made from them: errors, healthy with a trial, nothing tried, several image sizes, foreign text, no torch."""

from __future__ import annotations

import msgspec
from little_studies import epoch, study, training
from recorded_machines import MACHINES

from attn_doctor.examination import Options, examine
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.judging.recommend import recommend
from attn_doctor.model.report import Report
from attn_doctor.model.study import Study
from attn_doctor.model.trials import AttentionCalls, Gain, Interval, Trial, TrialRun, Trials
from attn_doctor.report import html, illustrated, study_outline
from attn_doctor.report.folded_facts import folded
from attn_doctor.report.gate import Gate
from attn_doctor.report.outline import outline
from attn_doctor.study.comparisons import compared

FOLDERS = {folder.name: folder for folder in MACHINES}
TIMES = {
    "eager": 1.0,
    "sdpa-math": 1.15,
    "sdpa-efficient": 0.72,
    "sdpa-flash": 0.61,
    "flash-attn-2": 0.58,
    "sdpa": 0.62,
}
EVIL = (
    "\x1b[2J\u202e</td></pre><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>"
    "<link rel=stylesheet href=//evil.example/c.css>\" onload=x ' style=x {{7*7}} @octocat "
)


def rows(sizes: tuple[int, ...] = (640,), dtypes: tuple[str, ...] = ("float32", "float16")) -> tuple[Trial, ...]:
    """Return rows of made-up, smooth numbers: one ruled out, one wrong, one served by another kernel."""
    made = []
    for size in sizes:
        for dtype in dtypes:
            for backend, factor in TIMES.items():
                where = {"model": "yolo12n.yaml", "imgsz": size, "batch": 2, "device": "cuda:0", "dtype": dtype}
                if dtype == "float32" and backend == "flash-attn-2":
                    reason = "flash-attn-2 takes no float32"
                    made.append(Trial(backend=backend, status="ruled-out", reason=reason, **where))
                    continue
                time = 21 * (size / 640) ** 2.2 * factor * (1 if dtype == "float32" else 0.62)
                status = {"sdpa-math": "wrong", "sdpa": "other-kernel"}.get(backend, "ok")
                made.append(
                    Trial(
                        backend=backend,
                        status=status,
                        reason="its gradients are off by 12 %" if status == "wrong" else None,
                        attention_calls=AttentionCalls(eager=8) if backend == "eager" else AttentionCalls(fused=8),
                        forward_ms=Interval(median=time * 0.3, low=time * 0.29, high=time * 0.32, n=30),
                        step_ms=Interval(median=time, low=time * 0.97, high=time * 1.04, n=30),
                        peak_bytes=int(1.9e9 * (size / 640) ** 2 * (0.6 + 0.4 * factor)),
                        output_error=3e-7 * factor if dtype == "float32" else 6e-4 * factor,
                        gradient_error=8e-7 * factor if dtype == "float32" else 9e-4 * factor,
                        attention_share=0.31 * factor,
                        step_gain=Gain(
                            ratio=1 / factor, low=0.9 / factor, high=1.1 / factor, n=30, p=0.001, verdict="faster"
                        ),
                        **where,
                    )
                )
    return tuple(made)


def machine(name: str) -> Report:
    return examine(Options(facts=str(FOLDERS[name] / "facts.json")))


def tried(report: Report, **kinds) -> Report:
    """Return the report of the same machine with a trial, judged anew."""
    made = Trials(rows=rows(**kinds), run=TrialRun(imgsz=640, torch="2.8.0+cu128"), attempted=True)
    found = diagnose(report.facts, report.goal, trials=made)
    return msgspec.structs.replace(
        report,
        trials=made.rows,
        trial_run=made.run,
        trials_skipped=None,
        findings=found.findings,
        recommendation=recommend(report.facts, found, made),
        outcome="healthy",
        seen=("torch imported", "ultralytics imported", "model built", "eager trained"),
    )


def hostile(report: Report) -> Report:
    """Return a report with foreign text wherever a log, a package or a driver could put one."""
    facts = report.facts
    gpus = tuple(msgspec.structs.replace(gpu, name=EVIL) for gpu in facts.graphics.gpus)
    return msgspec.structs.replace(
        report,
        facts=msgspec.structs.replace(
            facts,
            torch=msgspec.structs.replace(facts.torch, version=EVIL),
            yolo=msgspec.structs.replace(facts.yolo, version=EVIL),
            graphics=msgspec.structs.replace(facts.graphics, driver=EVIL, gpus=gpus),
        ),
        findings=tuple(
            msgspec.structs.replace(
                finding,
                message=EVIL + finding.message,
                evidence=tuple(msgspec.structs.replace(item, text=EVIL + item.text) for item in finding.evidence),
            )
            for finding in report.findings
        ),
        trials=tuple(msgspec.structs.replace(row, backend=EVIL + row.backend, model=EVIL) for row in rows()),
        trials_skipped=None,
        command=("attn-doctor", EVIL),
    )


def reports() -> dict[str, Report]:
    return {
        "errors": machine("rtx-3090-torch-upgraded"),
        "healthy": tried(machine("rtx-4090-flash-attn-works")),
        "nothing-tried": machine("laptop-without-gpu"),
        "several-sizes": tried(machine("rtx-4090-healthy-cu132"), sizes=(320, 640, 1280), dtypes=("float16",)),
        "foreign-text": hostile(machine("rtx-3090-torch-upgraded")),
        "no-torch": machine("alpine-no-torch"),
    }


def page(report: Report) -> str:
    """Return the page as `check --html` writes it."""
    gate = Gate()
    clean = gate.report(report)
    return gate.finished(
        illustrated.page(clean, outline(clean), folded(clean), "attn-doctor report"), "page.html"
    ).decode()


def _trained(arms: tuple[str, ...], **changes) -> Study:
    """Return a study of five seeds and nine epochs, of made-up numbers: the third arm is worse, and a training of the second failed."""
    cells = []
    for seed in range(5):
        for place, arm in enumerate(arms):
            top = 0.6 + 0.01 * seed - 0.03 * (place == 2) + 0.0007 * (seed * place % 3)
            epochs = tuple(
                epoch(
                    n,
                    top * (1 - 0.6**n),
                    seconds=12.0 - place - 0.05 * seed,
                    images_per_second=17.0 + place + 0.1 * seed,
                    peak_memory=2 * 10**9 - 3 * 10**8 * place,
                    joules=900.0 - 70 * place + seed,
                )
                for n in range(1, 10)
            )
            cells.append(msgspec.structs.replace(training(arm, seed, **changes), epochs=epochs))
    cells[7] = msgspec.structs.replace(cells[7], state="failed", said="CUDA out of memory", epochs=cells[7].epochs[:3])
    return study(cells, arms, epochs=9)


def studies() -> dict[str, Study]:
    foreign = _trained((EVIL, f"b{EVIL}", f"c{EVIL}"), kernels=(EVIL,), said=EVIL, where=EVIL, sizes={EVIL: 0.5})
    design = msgspec.structs.replace(
        foreign.design, model=EVIL, data=EVIL, command=("attn-doctor", EVIL), versions={EVIL: EVIL}, hashes={EVIL: EVIL}
    )
    return {
        "study": _trained(("eager", "sdpa-flash", "sdpa-math"), sizes={"small": 0.2, "medium": 0.4}),
        "study-foreign": msgspec.structs.replace(foreign, design=design),
    }


def study_page(made: Study) -> str:
    """Return the page as `study --html` writes it."""
    gate = Gate()
    (clean,) = gate.typed((made, Study))
    found = compared(clean)
    shown = html.render(study_outline.outline(clean, found), "attn-doctor study", study_outline.pictures(clean, found))
    return gate.finished(shown, "page.html").decode()

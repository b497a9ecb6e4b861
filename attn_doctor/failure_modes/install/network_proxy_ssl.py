"""The package index cannot be reached: the name is not resolved, a proxy refuses, or a certificate is not trusted here.

What it is
    pip, uv, conda or a program that downloads weights gets no answer from its host. Or a proxy opens the TLS
    connections and signs them with its own certificate, which Python does not trust.

How it shows
    "[SSL: CERTIFICATE_VERIFY_FAILED] ... unable to get local issuer certificate", "ProxyError", "Tunnel connection
    failed: 407", "Temporary failure in name resolution", "Max retries exceeded", uv's "invalid peer certificate:
    UnknownIssuer" and "dns error". After each of these pip also prints "No matching distribution found". The WARNING
    above that line is the cause.

Why it happens
    A compute node has no internet. Or a company's proxy is not set in HTTPS_PROXY. Or the system trusts the proxy's
    certificate, and Python does not: pip has its own list of certificates, and setup.py's urllib uses another list.
    So one of them may work and the other not.

What to do
    Set HTTPS_PROXY to the proxy, and name its certificate (SSL_CERT_FILE, PIP_CERT, or uv's --system-certs). Or
    download the wheels on another machine with `pip download`, copy them, and install them with `--no-index
    --find-links`.

How to reproduce
    `attn-doctor reproduce network-proxy-ssl` asks pip for a package at a server with a certificate that nobody
    trusts. Stand-ins (parts that are not real): the server. It downloads nothing.

References
    https://pip.pypa.io/en/stable/topics/https-certificates/
    https://docs.astral.sh/uv/concepts/authentication/certificates/
    https://github.com/Dao-AILab/flash-attention/issues/756
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import PIP, Network, Recipe
from attn_doctor.failure_modes.shared import building, cut_logs, network_cures, torch_carried_over
from attn_doctor.failure_modes.shared.torch_facts import own_index
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

_NOT_THE_WHEEL = r"(?!.{0,600}github.{0,600}flash_attn)"  # wheel-download-failed reports flash-attn's wheel on GitHub


def _certain(literal: str, sample: str, pattern: str) -> Sign:
    return Sign(pattern=pattern, literal=literal, sample=sample)


def _tried(literal: str, sample: str, pattern: str) -> Sign:
    """Return a sign for one failed connection. pip and uv try again, and may succeed."""
    return Sign(pattern=pattern, literal=literal, sample=sample, strength="hint")


MODE = FailureMode(
    code="AD203",
    slug="network-proxy-ssl",
    title="The network, a proxy or a certificate stops the download",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    explains=(
        "no-matching-distribution",
        "requirements-missing",
        "python-too-new-no-wheel",
        "wheel-download-failed",
        "packaging-missing-at-build",
        "wheel-missing-at-build",
        "environment-pollution",
        building.FAILED,
    ),
    signs=(
        Sign(
            pattern=r"unable to access 'https?://(?P<host>[^/']{1,100})/(?![^']{0,200}flash-attention)[^']{0,200}': (?:Failed to connect|"
            r"Connection|Recv failure|GnuTLS|OpenSSL|gnutls|Empty reply|Operation timed out)",
            literal="unable to access 'http",
            sample="fatal: unable to access 'https://github.com/NVIDIA/cutlass.git/': Failed to connect to github.com port 443",
            strength="hint",
        ),
        _certain(
            "CERTIFICATE_VERIFY_FAILED",
            "urllib.error.URLError: <urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local "
            "issuer certificate (_ssl.c:1006)>",
            r"(?P<certificate>CERTIFICATE_VERIFY_FAILED)",
        ),
        _certain(
            "invalid peer certificate",
            "  cause: invalid peer certificate: UnknownIssuer",
            r"(?P<certificate>invalid peer certificate)",
        ),
        _certain(
            "SSL certificate problem",
            "fatal: unable to access 'https://example.org/': SSL certificate problem: self-signed certificate in certificate chain",
            r"(?P<certificate>SSL certificate problem)",
        ),
        _certain(
            "certificate verification failed",
            "fatal: unable to access 'https://example.org/': server certificate verification failed. CAfile: none CRLfile: none",
            r"(?P<certificate>server certificate verification failed)",
        ),
        _certain(
            "CondaSSLError",
            "CondaSSLError: OpenSSL appears to be unavailable on this machine.",
            r"(?P<certificate>CondaSSLError)",
        ),
        *(
            Sign(pattern=rf"(?P<expired>{words})", literal=literal, sample=sample, strength="context")
            for words, literal, sample in (
                (
                    "certificate has expired",
                    "certificate has expired",
                    "certificate verify failed: certificate has expired (_ssl.c:1007)",
                ),
                (
                    "certificate is not yet valid",
                    "certificate is not yet valid",
                    "fatal: unable to access 'https://example.org/': SSL certificate problem: certificate is not yet valid",
                ),
                (
                    "invalid peer certificate: (?:Expired|NotValidYet|certificate expired|certificate not valid yet)",
                    "invalid peer certificate",
                    "  cause: invalid peer certificate: Expired",
                ),
            )
        ),
        Sign(
            pattern=r"^Looking in indexes: (?:https?://[^,]{1,200}, ){0,4}https://(?:[^@/\s]{1,80}@)?(?P<index>[\w.-]{3,100})[/:]",
            literal="Looking in indexes: ",
            sample="Looking in indexes: https://pypi.org/simple",
            strength="context",
        ),
        _tried(
            "SSLError(",
            "(Caused by SSLError(SSLZeroReturnError(6, 'TLS/SSL connection has been closed (EOF)')))",
            r"SSLError\(",
        ),
        _tried(
            "ProxyError(",
            "connection broken by 'ProxyError('Cannot connect to proxy.', NewConnectionError(",
            r"(?P<proxy>ProxyError)\(",
        ),
        _certain(
            "Tunnel connection failed: ",
            "OSError: Tunnel connection failed: 407 Proxy Authentication Required",
            r"(?P<proxy>Tunnel connection failed)",
        ),
        _certain(
            "CONNECTION FAILED for url",
            "CondaHTTPError: HTTP 000 CONNECTION FAILED for url <https://conda.anaconda.org/conda-forge/linux-64/repodata.json>",
            r"CONNECTION FAILED for url",
        ),
        _certain(
            "Failed to connect to ",
            "× Failed to connect to pypi.org while fetching https://pypi.org/simple/flash-attn/",
            r"Failed to connect to (?P<host>[\w.-]{1,100}) while fetching " + _NOT_THE_WHEEL,
        ),
        _tried(
            "after connection broken by ",
            "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken by "
            "'ReadTimeoutError(\"HTTPSConnectionPool(host='pypi.example', port=443): Read timed out.\")': /simple/flash-attn/",
            r"Retry\(total=(?P<left>\d+).{0,80}after connection broken by " + _NOT_THE_WHEEL,
        ),
        # pip's warning, cut before it names the error.
        _tried(
            "Retrying (Retry(total=",
            "WARNING: Retrying (Retry(total=2",
            r"(?P<torn>Retrying \(Retry\(total=(?:\d+(?:, (?:connect|read|redirect|status|other)=\w+){0,5}(?:, ?\w{0,8}=?)?\)?\)?)?)"
            r"(?:…|\.\.\.)?\s*$",
        ),
        _certain(
            "Max retries exceeded with url",
            "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded with url: /simple/",
            r"host='(?P<host>[^']{1,100})', port=\d+\): Max retries exceeded with url: (?!\S{0,300}flash_attn)",
        ),
        _certain(
            "Could not fetch URL ",
            "Could not fetch URL https://pypi.org/simple/pip/: There was a problem confirming the ssl",
            r"Could not fetch URL ",
        ),
        _tried(
            "Read timed out",
            "pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool(host='files.pythonhosted.org', port=443): Read timed out.",
            r"host='(?P<host>[^']{1,100})', port=\d+\): Read timed out",
        ),
        _tried(
            "error sending request for url",
            "  cause: error sending request for url (https://pypi.org/simple/flash-attn/)",
            r"error sending request for url " + _NOT_THE_WHEEL,
        ),
        _tried("operation timed out", "  cause: operation timed out", r"cause(?:d by)?: operation timed out"),
        _tried(
            "Could not resolve host",
            "curl: (6) Could not resolve host: download.pytorch.org",
            r"^(?!.{0,600}flash[-_]att).{0,600}Could not resolve host: (?P<host>\S+)",
        ),
        _tried(
            "Temporary failure resolving '",
            "W: Failed to fetch http://deb.example/  Temporary failure resolving 'deb.example'",
            r"Temporary failure resolving '(?P<host>[^']{1,100})'",
        ),
        _tried(
            "LocalEntryNotFoundError",
            "huggingface_hub.errors.LocalEntryNotFoundError: An error happened while trying to locate the file on the Hub",
            r"LocalEntryNotFoundError",
        ),
        # The frames of a connection, for a traceback that is cut there: urllib3/connection.py, socket.py and ssl.py.
        *(
            cut_logs.frame(name, name, f'  File "/v/lib/python3.11/site-packages/{file}", line 174, in {name}')
            for name, file in (
                ("_new_conn", "urllib3/connection.py"),
                ("getaddrinfo", "socket.py"),
                ("create_connection", "urllib3/util/connection.py"),
                ("do_handshake", "ssl.py"),
            )
        ),
        Sign(
            pattern=r"Successfully installed |Installed \d+ packages? in",
            literal="nstalled ",
            sample="Successfully installed flash-attn-2.8.3",
            strength="context",
            topic="installation ended well",
        ),
        Sign(
            pattern=r"^Successfully built ",
            literal="Successfully built ",
            sample="Successfully built flash-attn",
            strength="context",
            topic="installation ended well",
        ),
        # ultralytics/utils/downloads.py and ultralytics/engine/trainer.py: the training ends without its data.
        Sign(
            pattern=r"Error: Dataset '(?P<dataset>[^']{1,200})' error .{0,40}(?:Download failure for|Environment is not online|Environment may be offline)",
            literal="Error: Dataset '",
            sample="RuntimeError: Dataset 'coco8.yaml' error ❌ Download failure for https://ultralytics.com/assets/coco8.zip. Environment may be offline.",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="asks pip for a package at a server with a certificate that nobody trusts",
        of=(Network(kind="self-signed", hosts=("mirror.example",)),),
        run=(
            (
                *PIP,
                "download",
                "--no-deps",
                "--retries",
                "0",
                "--index-url",
                "https://mirror.example/simple",
                "flash-attn",
            ),
        ),
        shows="CERTIFICATE_VERIFY_FAILED",
        seconds=8,
        stands_in=("the server",),
    ),
)
# There is no `detect`: attn-doctor does not use the network unless the user asks for it.


class Cut(Variant, frozen=True):
    """Mark the case that the log ends in the frames of a connection, before the line that names the error."""


class Expired(Variant, frozen=True, kw_only=True):
    """Mark the case that the certificate of a server has run out, or is not valid yet. `host`: "download.pytorch.org"; None if the log lacks it."""

    host: str | None


class NoData(Variant, frozen=True, kw_only=True):
    """Mark the case that a training ended because its dataset could not be downloaded. `dataset`: "coco8.yaml"."""

    dataset: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if cut_logs.alone(seen):
        probably = "Probably that host cannot be reached: no network (a node of a cluster), a proxy, or a certificate."
        return cut_logs.hit(seen, probably, "the name of an error, such as ConnectionError or SSLError", Cut())
    seen = cut_logs.told(seen)
    proofs = tuple(m for m in seen.matches if m.strength == "proof" and not _overcome(seen, m))
    tries = tuple(m for m in seen.matches if m.strength == "hint" and not _overcome(seen, m))
    if not proofs and not tries:
        return None
    if _about_the_wheel(seen, (*proofs, *tries)):
        return None
    torn = [m for m in tries if "torn" in m.groups]
    if not proofs and len(torn) == len(tries):
        return _torn(seen, torn[-1])
    told = proofs or tries
    if seen.group("certificate") and seen.group("expired"):
        host = next((m.groups["host"] for m in told if m.groups.get("host")), None) or seen.group("index")
        return Hit(
            message=f"The certificate of {host or 'the server'} has run out or is not valid yet: the clock of that machine is wrong, or the operator of the "
            "server has to renew the certificate.",
            evidence=building.lines(told),
            variant=Expired(host=host),
        )
    if seen.group("certificate"):
        message = "A TLS certificate was not trusted: a proxy signs the connections with its own certificate, or Python has no certificates."
    elif seen.group("proxy"):
        message = "The proxy refused the connection or did not answer."
    else:
        host = next((m.groups["host"] for m in told if m.groups.get("host")), None)
        message = f"{host} could not be reached." if host else "The host could not be reached."
    dataset = seen.group("dataset")
    if dataset is not None:
        return Hit(
            message=f"{message[:-1]}, so the training ended: it has no data of {dataset}.",
            evidence=(*building.lines(told), *building.lines([m for m in seen.matches if m.groups.get("dataset")])),
            variant=NoData(dataset=dataset),
            severity=Severity.ERROR,
        )
    return Hit(
        message=message,
        evidence=building.lines(told),
        confidence=Confidence.HIGH if proofs or len(tries) > 1 else Confidence.MEDIUM,
    )


_LAST_LINES = 5  # a warning in the last lines of a log is the last thing that pip printed


def _torn(seen: Seen, match: Match) -> Hit | None:
    """Return the hit for a log that is cut inside pip's warning that it tries again; None if more lines follow."""
    log = next(log for log in seen.logs if log.file == match.file)
    if log.lines - match.line > _LAST_LINES:
        return None
    return Hit(
        message="The log is cut: a connection failed, and pip tried again. Probably the package index cannot be reached, or a "
        "proxy refuses the connection. To be sure, run `attn-doctor diagnose` with the whole log: the line that begins with WARNING: Retrying must be complete.",
        evidence=building.lines((match,)),
        confidence=Confidence.LOW,
    )


def _about_the_wheel(seen: Seen, told: tuple[Match, ...]) -> bool:
    """Return whether only flash-attn's wheel on GitHub could not be reached: wheel-download-failed reports that."""
    if any(m.groups.get("certificate") or m.groups.get("proxy") for m in told):
        return False
    wheel = any(m.strength == "proof" for log in seen.logs for m in log.of("wheel-download-failed"))
    return wheel and all("github" in m.groups.get("host", "github") for m in told)


def _overcome(seen: Seen, match: Match) -> bool:
    """Return whether an installation succeeded after the failed connection, so that the connection is not a failure."""
    return any(
        not m.groups and m.strength == "context" and m.file == match.file and m.line > match.line for m in seen.matches
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, Cut):
        return network_cures.of_a_cut_log(facts)
    if isinstance(hit.variant, Expired):
        return network_cures.of_a_date(facts, hit.variant.host)
    verify = building.verify(facts)
    proxy = commands.by_hand(
        (),
        "set HTTPS_PROXY (and HTTP_PROXY) to your proxy, and SSL_CERT_FILE to a file with the proxy's certificate",
        "this shell",
    )
    if isinstance(hit.variant, NoData):
        by_hand = network_cures.dataset(facts, hit.variant.dataset)
        return (by_hand, Fix(title="Name the proxy and its certificate", steps=(proxy,), verify=verify))
    package = facts.subject.package if isinstance(facts.subject.package, str) else "torch"
    of_torch = package in ("torch", "torchvision", "torchaudio")
    made = [Fix(title="Name the proxy and its certificate", steps=(proxy,), verify=verify)]
    own = own_index(facts)
    if own is not None:
        words = f"install {package} without --index-url, from the index that you have configured, {own}. If it has no {package}, ask its operator to add it"
        step = commands.by_hand((), words, package, "none")
        made.append(Fix(title="Use the index of your site", steps=(step,), verify=verify))
    steps = torch_carried_over.carried_over(facts) if of_torch else network_cures.carried_over(package)
    return (*made, Fix(title="Copy the wheels from another machine", steps=steps, verify=verify))

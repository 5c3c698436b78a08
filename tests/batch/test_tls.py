"""A cluster behind TLS, with certificates that Dask takes from its usual configuration."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import pytest
from batch_tools import arrays_in, save_images
from clusters import cluster
from conftest import assert_refused

pytest.importorskip("distributed")
pytest.importorskip("cryptography")
pytestmark = pytest.mark.slow


class Authority:
    """Signs certificates, as whoever runs a cluster does."""

    def __init__(self, folder: Path) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        folder.mkdir()
        self.folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._signed("authority", self._key, is_authority=True)
        self.file = self._saved("ca.pem", self._certificate)

    def _signed(self, name: str, key, is_authority: bool = False):
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        def called(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

        now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        usage = x509.BasicConstraints(ca=is_authority, path_length=None)
        builder = (
            x509.CertificateBuilder()
            .subject_name(called(name))
            .issuer_name(called("authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(here, critical=False)
            .add_extension(usage, critical=True)
        )
        return builder.sign(self._key, hashes.SHA256())

    def _saved(self, name: str, thing) -> str:
        from cryptography.hazmat.primitives import serialization as how

        pem, path = how.Encoding.PEM, self.folder / name
        if hasattr(thing, "private_bytes"):
            form = how.PrivateFormat.PKCS8
            path.write_bytes(thing.private_bytes(pem, form, how.NoEncryption()))
        else:
            path.write_bytes(thing.public_bytes(pem))
        return str(path)

    def variables(self, *roles: str) -> dict[str, str]:
        """How Dask is told of certificates for these roles: by its usual variables."""
        from cryptography.hazmat.primitives.asymmetric import ec

        found = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": self.file}
        for role in roles:
            key = ec.generate_private_key(ec.SECP256R1())
            files = {"KEY": key, "CERT": self._signed(role, key)}
            for which, thing in files.items():
                name = f"DASK_DISTRIBUTED__COMM__TLS__{role.upper()}__{which}"
                found[name] = self._saved(f"{role}-{which.lower()}.pem", thing)
        return found


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def secure(authority: Authority, tmp_path_factory: pytest.TempPathFactory):
    """A scheduler and two workers that speak to whom their authority knows."""
    env = authority.variables("scheduler", "worker", "client")
    with cluster(tmp_path_factory.mktemp("dask"), 2, protocol="tls", **env) as found:
        yield found


def test_a_run_behind_tls_gives_what_a_run_here_gives(
    authority, secure, tmp_path, workspace, featcli
):
    save_images(workspace / "in", 12)
    stages = "convolve vertical | relu | pool 2"
    env = authority.variables("client")
    words = ("run", stages, "in", "--scheduler", secure.address)
    done = featcli(*words, "-o", "out", env=env)
    assert (done.returncode, done.stderr) == (0, "featcli run: 12 done, 0 skipped, 0 failed\n")
    assert featcli("run", stages, "in", "-o", "usual", "-j", "1").returncode == 0
    assert arrays_in(workspace / "out") == arrays_in(workspace / "usual")
    again = featcli(*words, "-o", "out", env=env)
    assert again.stderr == "featcli run: 0 done, 12 skipped, 0 failed\n"


def test_the_configuration_may_stand_in_a_file(authority, secure, tmp_path, workspace, featcli):
    save_images(workspace / "in", 3)
    found = authority.variables("client")
    names = {name.rpartition("TLS__")[2]: path for name, path in found.items()}
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "distributed.yaml").write_text(
        "distributed:\n  comm:\n    tls:\n"
        f"      ca-file: {names['CA_FILE']}\n"
        f"      client: {{cert: {names['CLIENT__CERT']}, key: {names['CLIENT__KEY']}}}\n"
    )
    env = {"DASK_CONFIG": str(tmp_path / "config")}
    words = ("relu", "in", "-o", "out", "--scheduler", secure.address)
    assert featcli(*words, env=env).returncode == 0


def test_wrong_or_missing_certificates_are_one_line_and_nothing_is_written(
    authority, secure, tmp_path, workspace, featcli
):
    save_images(workspace / "in", 2)
    words = ("relu", "in", "-o", "out", "--scheduler")
    strangers = Authority(tmp_path / "theirs").variables("client")
    said = "does not accept the certificates"
    assert_refused(featcli(*words, secure.address, env=strangers), 1, secure.address, said)
    said = "the certificates of this side are not there"
    assert_refused(featcli(*words, secure.address, env={}), 1, secure.address, said)
    plain = secure.address.replace("tls", "tcp")
    assert_refused(featcli(*words, plain), 1, plain)
    gone = authority.variables("client") | {
        "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY": str(tmp_path / "gone.pem")
    }
    assert_refused(featcli(*words, secure.address, env=gone), 1, secure.address, said)
    assert not list((workspace / "out").glob("*.npy"))

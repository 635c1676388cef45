"""Credential files as Kubernetes, cert-manager and people change them."""

import os
from pathlib import Path

import pytest

from outboxrelay.adapters.credentials import DirectoryCredentials
from outboxrelay.adapters.renewable_credentials import RenewableCredentials, Values, renewable
from outboxrelay.api.manifest import parse_manifest
from outboxrelay.api.names import Reason
from outboxrelay.api.references import SecretKeyReference
from outboxrelay.errors import Fault, SourceFault
from outboxrelay.manifests.secrets import references
from tests.support.relay_process import manifest

CERTIFICATE = SecretKeyReference(name="proof", key="tls.crt")
KEY = SecretKeyReference(name="proof", key="tls.key")


class Mount:
    """A volume as the kubelet writes one: a directory for each state, and a link to the one that counts."""

    def __init__(self, path: Path) -> None:
        self.path, self._states = path, 0

    def swap(self, **files: str) -> None:
        """All files of Secret proof change at once."""
        self._states += 1
        state = self.path / f"..{self._states}"
        (state / "proof").mkdir(parents=True)
        for name, text in files.items():
            (state / "proof" / name.replace("_", ".")).write_text(text)
        half = self.path / "..data_tmp"
        half.symlink_to(state.name)
        os.replace(half, self.path / "..data")
        if not (self.path / "proof").exists():
            (self.path / "proof").symlink_to("..data/proof")


def pair(path: Path) -> RenewableCredentials:
    return RenewableCredentials(DirectoryCredentials(path), [CERTIFICATE, KEY])


def read(values: Values) -> tuple[str, str]:
    return values.read(CERTIFICATE), values.read(KEY)


async def works(values: Values) -> str:
    return values.fingerprint


def only(*good: Values) -> "Attempts":
    return Attempts({item.fingerprint for item in good})


class Attempts:
    """Connects with some values and with no others."""

    def __init__(self, good: set[str]) -> None:
        self.good, self.made = good, list[str]()

    async def __call__(self, values: Values) -> str:
        self.made.append(values.fingerprint)
        if values.fingerprint not in self.good:
            raise SourceFault(Reason.AUTHENTICATION_FAILED, f"refused: attempt {len(self.made)}")
        return values.fingerprint


def test_a_swap_of_the_volume_shows_at_the_next_look_and_changes_nothing_in_use(tmp_path: Path) -> None:
    mount = Mount(tmp_path)
    mount.swap(tls_crt="c1", tls_key="k1")
    credentials = pair(tmp_path)
    mount.swap(tls_crt="c2", tls_key="k2")
    assert read(credentials.on_file()) == ("c2", "k2")
    assert read(credentials.current) == ("c1", "k1")


def test_equal_values_have_equal_fingerprints_wherever_they_lie(tmp_path: Path) -> None:
    mount = Mount(tmp_path)
    mount.swap(tls_crt="c1", tls_key="k1")
    before = pair(tmp_path).on_file().fingerprint
    mount.swap(tls_crt="c1", tls_key="k1")
    assert pair(tmp_path).on_file().fingerprint == before
    mount.swap(tls_crt="c1k", tls_key="1")
    assert pair(tmp_path).on_file().fingerprint != before


def test_a_swap_between_two_files_of_one_reading_gives_no_mixed_pair(tmp_path: Path) -> None:
    mount = Mount(tmp_path)
    mount.swap(tls_crt="c1", tls_key="k1")
    plain = DirectoryCredentials(tmp_path)

    class SwappedMeanwhile:
        def __init__(self) -> None:
            self.reads = 0

        def read(self, reference: SecretKeyReference) -> str:
            self.reads += 1
            if self.reads == 4:
                mount.swap(tls_crt="c2", tls_key="k2")
            return plain.read(reference)

    credentials = RenewableCredentials(SwappedMeanwhile(), [CERTIFICATE])
    mixed = RenewableCredentials(SwappedMeanwhile(), [CERTIFICATE, KEY])
    assert credentials.current.read(CERTIFICATE) in ("c1", "c2")
    assert read(mixed.current) == ("c2", "k2")


def test_a_file_that_is_missing_is_a_value_of_its_own_and_names_the_place(tmp_path: Path) -> None:
    mount = Mount(tmp_path)
    mount.swap(tls_crt="c1", tls_key="k1")
    credentials = pair(tmp_path)
    mount.swap(tls_crt="c1")
    missing = credentials.on_file()
    assert missing.fingerprint != credentials.current.fingerprint
    assert missing.read(CERTIFICATE) == "c1"
    for _ in range(2):
        with pytest.raises(Fault, match=r"Secret proof has no key tls\.key") as caught:
            missing.read(KEY)
        assert caught.value.reason == Reason.SECRET_KEY_MISSING


def test_files_that_nobody_refers_to_are_never_looked_at(tmp_path: Path) -> None:
    mount = Mount(tmp_path)
    mount.swap(tls_crt="c1", tls_key="k1", other="x")
    before = pair(tmp_path).on_file().fingerprint
    mount.swap(tls_crt="c1", tls_key="k1", other="y")
    assert pair(tmp_path).on_file().fingerprint == before


def test_each_side_refers_to_its_own_secrets_only() -> None:
    proof, login = {"clientCertificateSecretRef": {"name": "proof"}}, {"credentialsSecretRef": {"name": "kafka"}}
    target = {"protocol": "SASL_SSL", "saslMechanism": "PLAIN", "caSecretRef": {"name": "ca", "key": "pem"}, **login}
    spec = parse_manifest(
        manifest(table="outbox", topic="t", servers="k:1", source={"database": proof}, target=target)
    ).spec
    database = {(item.name, item.key) for item in spec.source.database.secret_references}
    brokers = {(item.name, item.key) for item in spec.target.secret_references}
    assert database == {("source", "uri"), ("proof", "tls.crt"), ("proof", "tls.key")}
    assert brokers == {("kafka", "username"), ("kafka", "password"), ("ca", "pem")}
    assert {(item.name, item.key) for item in references(spec)} == database | brokers


async def test_who_has_nothing_connected_takes_what_the_files_hold(tmp_path: Path) -> None:
    mount = Mount(tmp_path)
    mount.swap(tls_crt="c1", tls_key="k1")
    credentials = pair(tmp_path)
    await credentials.connect(works)
    mount.swap(tls_crt="c2", tls_key="k2")
    await credentials.connect(works)
    assert read(credentials.current) == ("c2", "k2")


async def test_what_worked_before_is_used_where_what_the_files_hold_does_not(tmp_path: Path) -> None:
    mount = Mount(tmp_path)
    mount.swap(tls_crt="c1", tls_key="k1")
    credentials = pair(tmp_path)
    await credentials.connect(works)
    before = credentials.current
    mount.swap(tls_crt="c1", tls_key="wrong")
    attempts = only(before)
    await credentials.connect(attempts)
    assert attempts.made == [credentials.on_file().fingerprint, before.fingerprint]
    assert credentials.current is before


async def test_what_is_known_not_to_work_is_tried_last(tmp_path: Path) -> None:
    mount = Mount(tmp_path)
    mount.swap(tls_crt="c1", tls_key="k1")
    credentials = pair(tmp_path)
    await credentials.connect(works)
    before = credentials.current
    mount.swap(tls_crt="c1", tls_key="wrong")
    credentials.refuse(credentials.on_file())
    attempts = only(before)
    await credentials.connect(attempts)
    assert attempts.made == [before.fingerprint]
    nothing = only()
    with pytest.raises(SourceFault, match="attempt 2"):
        await credentials.connect(nothing)
    assert nothing.made == [before.fingerprint, credentials.on_file().fingerprint]


async def test_what_is_pinned_stays_in_use_and_raises_doubt_when_it_does_not_connect(tmp_path: Path) -> None:
    mount = Mount(tmp_path)
    mount.swap(tls_crt="c1", tls_key="k1")
    credentials = pair(tmp_path)
    await credentials.connect(works)
    before, credentials.pinned = credentials.current, True
    mount.swap(tls_crt="c2", tls_key="k2")
    await credentials.connect(only(before))
    assert not credentials.doubted.is_set()
    attempts = only(credentials.on_file())
    with pytest.raises(SourceFault):
        await credentials.connect(attempts)
    assert attempts.made == [before.fingerprint]
    assert credentials.doubted.is_set()
    assert credentials.current is before


async def test_what_the_files_hold_connects_for_want_of_what_is_pinned_if_it_leads_to_the_same_place(
    tmp_path: Path,
) -> None:
    mount = Mount(tmp_path)
    mount.swap(tls_crt="here", tls_key="k1")
    credentials = RenewableCredentials(
        DirectoryCredentials(tmp_path), [CERTIFICATE, KEY], lambda values: values.read(CERTIFICATE)
    )
    await credentials.connect(works)
    before, credentials.pinned = credentials.current, True
    mount.swap(tls_crt="here", tls_key="k2")
    attempts = only(credentials.on_file())
    assert await credentials.connect(attempts) == credentials.on_file().fingerprint
    assert attempts.made == [before.fingerprint, credentials.on_file().fingerprint]
    assert credentials.doubted.is_set()
    assert (credentials.current, credentials.version) == (before, 0)
    mount.swap(tls_crt="elsewhere", tls_key="k2")
    elsewhere = only(credentials.on_file())
    with pytest.raises(SourceFault):
        await credentials.connect(elsewhere)
    assert elsewhere.made == [before.fingerprint]


async def test_before_anything_has_worked_only_the_files_count(tmp_path: Path) -> None:
    mount = Mount(tmp_path)
    mount.swap(tls_crt="c1", tls_key="wrong")
    credentials = pair(tmp_path)
    with pytest.raises(SourceFault):
        await credentials.connect(only())
    mount.swap(tls_crt="c1", tls_key="k1")
    good = only(credentials.on_file())
    await credentials.connect(good)
    assert len(good.made) == 1
    assert read(credentials.current) == ("c1", "k1")


def test_credentials_that_are_shared_stay_shared(tmp_path: Path) -> None:
    shared = pair(tmp_path)
    assert renewable(shared, [CERTIFICATE]) is shared
    assert renewable(DirectoryCredentials(tmp_path), [CERTIFICATE]) is not shared

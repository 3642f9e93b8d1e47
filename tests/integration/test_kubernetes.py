"""Dockerfile and share/kubernetes.yaml agree with each other, with the configuration in the latter, and with what is
built. No image is made here, and no cluster is asked."""

import fnmatch
import json
import re
import shlex
import shutil
import subprocess

import yaml

from certificates import Authority
from process import ROOT
from test_check import sluice, write

TOKEN = "eyJhIjoxfQ.eyJhIjoxfQ.c2ln"
# What azure-workload-identity's webhook sets in a pod that has its label; its host ends with a slash.
IDENTITY = {"AZURE_TENANT_ID": "5f1c8bd0-0000-4000-8000-00000000000a", "AZURE_CLIENT_ID": "5f1c8bd0-0000-4000-8000-000000000002",
            "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/"}
MANIFEST_TEXT = (ROOT / "share/kubernetes.yaml").read_text()
MANIFEST = {one["kind"]: one for one in yaml.safe_load_all(MANIFEST_TEXT)}
CONFIG_NAME, CONFIG_TEXT = *MANIFEST["ConfigMap"]["data"].keys(), *MANIFEST["ConfigMap"]["data"].values()
CONFIG = json.loads(re.sub(r'("(?:[^"\\]|\\.)*")|//[^\n]*', r"\1", CONFIG_TEXT))
POD = MANIFEST["Deployment"]["spec"]["template"]
CONTAINER, = POD["spec"]["containers"]
MOUNTS = {one["name"]: one["mountPath"] for one in CONTAINER["volumeMounts"]}
VOLUMES = {one["name"]: one for one in POD["spec"]["volumes"]}
PORTS = {one["name"]: one["containerPort"] for one in CONTAINER["ports"]}

# (word, what stands behind it) of each instruction
DOCKERFILE = [line.split(maxsplit=1) for line in re.sub(
    r"\\\n", " ", re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.M)).splitlines() if line.strip()]
COPIED = [source for word, rest in DOCKERFILE if word == "COPY" and "--from" not in rest
          for source in rest.split()[:-1]]


def instruction(word):
    return [rest for one, rest in DOCKERFILE if one == word]


def port_of(listen):
    host, _, port = listen.rpartition(":")
    assert host == "0.0.0.0", "what comes from outside the pod does not come to loopback"
    return int(port)


def project():
    return (ROOT / "CMakeLists.txt").read_text()


# --- the manifest ---


def secret_files():
    """The paths of the configuration that lie in a secret, by the secret's name."""
    paths = set(re.findall(r'/run/secrets/[^}"]+', CONFIG_TEXT))
    found = {}
    for name, mount in MOUNTS.items():
        if "secret" in VOLUMES[name]:
            inside = {path for path in paths if path.startswith(mount + "/")}
            found[VOLUMES[name]["secret"]["secretName"]] = {path.removeprefix(mount + "/") for path in inside}
            paths -= inside
    assert not paths, "nothing is mounted there"
    return found


def test_the_configuration_is_fine_where_its_files_are_mounted(tmp_path):
    text = CONFIG_TEXT
    pair = Authority(tmp_path).sign("tls", "/O=a/CN=tls", "IP:127.0.0.1")
    for name, mount in MOUNTS.items():
        (tmp_path / name).mkdir()
        text = text.replace(mount + "/", f"{tmp_path / name}/")
    for path in re.findall(r"\$\{file:([^}]+)\}", text):
        (tmp_path / path).write_text("s")
    shutil.copy(pair.certificate, tmp_path / "tls/tls.crt")
    shutil.copy(pair.key, tmp_path / "tls/tls.key")
    (tmp_path / "token").write_text(TOKEN)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.chmod(0o400)
    identity = {**IDENTITY, "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token")}
    assert set(re.findall(r"\$\{(\w+)\}", text)) <= set(identity)
    write(tmp_path, text)
    result = sluice("check", cwd=tmp_path, **identity)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "sluice.jsonc: ok: 2 sources, 2 feeds, 2 entities\n"


def test_secrets_are_those_that_its_first_lines_make():
    assert "Secret" not in MANIFEST
    found = secret_files()
    assert found.pop("sluice") == set(re.findall(r"--from-file=(\w+)", MANIFEST_TEXT))
    assert found == {"sluice-tls": {"tls.crt", "tls.key"}}
    assert "kubectl create secret tls sluice-tls" in MANIFEST_TEXT


def test_both_probes_ask_whether_it_lives_as_the_documentation_says():
    page = (ROOT / "docs/OPERATIONS.md").read_text()
    assert "**`livenessProbe` and `readinessProbe` both take `/healthz`.**" in page
    for probe in ("livenessProbe", "readinessProbe"):
        assert CONTAINER[probe]["httpGet"] == {"path": "/healthz", "port": "ops"}
    least, = re.findall(r"`terminationGracePeriodSeconds` of at least (\d+)", page)
    before = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]  # while the Service still sends posts
    assert before[0] == "sleep" and POD["spec"]["terminationGracePeriodSeconds"] >= int(least) + int(before[1])


def test_ports_are_those_that_the_configuration_listens_at():
    hook = CONFIG["sources"]["hook"]
    assert PORTS == {"ops": port_of(CONFIG["ops"]["listen"]), "webhook": port_of(hook["listen"])}
    assert CONFIG["ops"]["token"], "the pages are open to the whole cluster without"
    port, = MANIFEST["Service"]["spec"]["ports"]
    assert port["targetPort"] == "webhook"
    assert port["port"] == 443 and hook["tls"], "Dataverse posts by HTTPS"


def test_names_and_labels_meet():
    labels = POD["metadata"]["labels"]
    spec = MANIFEST["Deployment"]["spec"]
    spread, = POD["spec"]["topologySpreadConstraints"]
    for selector in (spec["selector"]["matchLabels"], MANIFEST["Service"]["spec"]["selector"],
                     MANIFEST["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
                     spread["labelSelector"]["matchLabels"]):
        assert selector and selector.items() <= labels.items()
    assert spec["replicas"] > MANIFEST["PodDisruptionBudget"]["spec"]["minAvailable"] > 0
    assert VOLUMES["config"]["configMap"]["name"] == MANIFEST["ConfigMap"]["metadata"]["name"]
    account = MANIFEST["ServiceAccount"]["metadata"]
    assert POD["spec"]["serviceAccountName"] == account["name"]
    assert account["annotations"]["azure.workload.identity/client-id"]
    assert labels["azure.workload.identity/use"] == "true"


def test_the_pod_has_no_right_that_it_does_not_need():
    pod, own = POD["spec"]["securityContext"], CONTAINER["securityContext"]
    assert pod["runAsNonRoot"] and pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert POD["spec"]["automountServiceAccountToken"] is False
    assert all("emptyDir" not in one and "hostPath" not in one for one in VOLUMES.values())
    # Kept from strangers, and readable by the group that fsGroup gives them.
    assert {one["secret"]["defaultMode"] for one in VOLUMES.values() if "secret" in one} == {0o440}


# --- the image ---


def test_the_image_runs_what_the_unit_for_systemd_runs():
    entry, = instruction("ENTRYPOINT")
    command, = instruction("CMD")
    words = json.loads(entry) + json.loads(command)
    assert f"ExecStart={' '.join(words)}\n" in (ROOT / "share/sluice.service").read_text()
    assert words[-1] == f"{MOUNTS['config']}/{CONFIG_NAME}"
    assert "command" not in CONTAINER and "args" not in CONTAINER


def test_user_and_version_are_the_same_in_both():
    user, = instruction("USER")
    pod = POD["spec"]["securityContext"]
    assert user == f"{pod['runAsUser']}:{pod['runAsGroup']}" and pod["fsGroup"] == pod["runAsGroup"] > 0
    version, = re.findall(r"project\(sluice VERSION (\S+)", project())
    assert CONTAINER["image"].rpartition(":")[2] == version
    for page in ("Dockerfile", "docs/OPERATIONS.md"):
        assert CONTAINER["image"] in (ROOT / page).read_text()


def test_the_image_names_no_package_by_hand():
    """What it is built with is in the one list, what it runs with the package knows."""
    commands = [shlex.split(one) for rest in instruction("RUN") for one in rest.split("&&")]
    assert ["./dev", "setup", "build"] in commands
    installed = [word for one in commands if one[:2] == ["apt-get", "install"]
                 for word in one[2:] if not word.startswith("-")]
    assert installed == ["/tmp/*.deb"]
    assert not any(one[0] in ("apt", "dpkg", "curl", "wget") for one in commands)
    made, = re.findall(r"cpack .* -B (\S+)", str(instruction("RUN")[1]))
    assert f"--from=build /src/{made}/*.deb /tmp/" in instruction("COPY")


def ignored():
    return {line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"}


def test_what_the_image_copies_is_there_and_sent():
    assert COPIED
    for source in COPIED:
        assert (ROOT / source).exists(), source
        assert not any(fnmatch.fnmatch(source, pattern) for pattern in ignored()), source
    assert {".git", "build"} <= ignored()
    assert "." not in COPIED, "somebody's secrets may lie in the folder"


def test_what_the_image_copies_is_enough_to_build(tmp_path):
    """To configure, at least: whatever CMake is told to read is there."""
    for source in COPIED:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, tmp_path / source)
    configure = instruction("RUN")[1].split("&&")[0]
    done = subprocess.run(shlex.split(configure), cwd=tmp_path, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("lib.sh", "setup.sh"):
        assert (tmp_path / "dev.d" / name).is_file()
    assert (tmp_path / "third_party/debian-packages.txt").is_file()

"""The operator, installed by its Helm chart with exactly the rights that the chart gives it."""

import subprocess

from .kubectl import Kubectl, Object
from .rig import Rig
from .waiting import until

CHART = "charts/outbox-relay-operator"
RELEASE = "outbox-relay-operator"
NAMESPACE = "outboxrelay-system"
SELECTOR = f"app.kubernetes.io/instance={RELEASE}"


class Operator:
    """One release of the chart."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.kubectl = Kubectl(NAMESPACE, rig.context)

    def install(self, image: str, *, chart: str = CHART, **more: str) -> None:
        """helm upgrade --install, with ``more`` values (a__b for a.b), and wait until it is available."""
        repository, _, tag = image.rpartition(":")
        values = {"image.repository": repository, "image.tag": tag, "statusIntervalSeconds": "3"}
        values |= {name.replace("__", "."): value for name, value in more.items()}
        text = ",".join(f"{name}={value}" for name, value in values.items())
        self._helm(
            "upgrade", "--install", RELEASE, chart, "--create-namespace", "--set", text, "--wait", "--timeout", "120s"
        )

    def uninstall(self) -> None:
        """helm uninstall."""
        self._helm("uninstall", RELEASE, "--ignore-not-found", "--wait", "--timeout", "60s")

    async def deployment(self) -> Object:
        """Its Deployment."""
        (found,) = await self.kubectl.list("deployments", SELECTOR)
        return found

    async def pods(self) -> list[Object]:
        """Its pods that are not ending."""
        found = await self.kubectl.list("pods", SELECTOR)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    async def restarts(self) -> dict[str, int]:
        """Restart count of each pod."""
        return {
            pod["metadata"]["name"]: sum(status["restartCount"] for status in pod["status"]["containerStatuses"])
            for pod in await self.pods()
        }

    async def scale(self, replicas: int) -> None:
        """Set the number of its pods and wait until there are exactly so many, all ready."""
        name = (await self.deployment())["metadata"]["name"]
        await self.kubectl.run("scale", f"deployment/{name}", f"--replicas={replicas}")

        async def settled() -> bool:
            pods = await self.kubectl.list("pods", SELECTOR)
            return len(pods) == replicas and all(is_ready(pod) for pod in pods)

        await until(settled, f"operator with {replicas} ready pods", 90)

    async def set_environment(self, **values: str | None) -> None:
        """Set variables of its container (None removes one), and wait until every pod has them."""
        name = (await self.deployment())["metadata"]["name"]
        words = [f"{key}-" if value is None else f"{key}={value}" for key, value in values.items()]
        await self.kubectl.run("set", "env", f"deployment/{name}", *words)
        await self.kubectl.run("rollout", "status", f"deployment/{name}", "--timeout=120s", deadline=150)

    async def leading_pod(self) -> Object:
        """The pod that holds the Lease."""

        async def probe() -> Object | None:
            holder = await self.leader()
            return next((pod for pod in await self.pods() if pod["metadata"]["name"] == holder), None)

        return await until(probe, "leader among the operator's pods", 40)

    async def leader(self) -> str:
        """Who holds the operator's Lease."""
        leases = await self.kubectl.list("leases")
        holders = [lease["spec"].get("holderIdentity") or "" for lease in leases]
        return next((holder for holder in holders if holder), "")

    def _helm(self, *arguments: str) -> None:
        context = ["--kube-context", self._rig.context] if self._rig.context else []
        command = ["helm", *context, "--namespace", NAMESPACE, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
        if done.returncode != 0:
            state = subprocess.run(
                self.kubectl.command("get", "pods,events"), capture_output=True, text=True, check=False, timeout=60
            )
            raise AssertionError(f"{' '.join(command)}: {done.stderr.strip()}\n{state.stdout}")


def is_ready(pod: Object) -> bool:
    """Whether a pod is ready and not about to end."""
    conditions = {item["type"]: item["status"] for item in pod["status"].get("conditions", [])}
    return "deletionTimestamp" not in pod["metadata"] and conditions.get("Ready") == "True"

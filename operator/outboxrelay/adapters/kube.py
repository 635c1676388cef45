"""The connection to the Kubernetes API: JSON in and out, a timeout on every call, errors as ClusterFault.

The generated classes of `kubernetes.aio` are not used: objects stay the mappings they are on the wire, so that nothing
is lost or renamed between what was read and what is written.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import getproxies

import aiohttp
import yaml
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import list_kube_config_contexts, load_incluster_config, load_kube_config
from kubernetes.aio.config.config_exception import ConfigException

from outboxrelay.errors import CannotRun, ClusterFault, InvalidInput

CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 10.0
SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
JSON = "application/json"


class KubeClient:
    """Requests to one API server."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> dict[str, Any]:
        """The answer's JSON; raises ClusterFault for every refusal, and when there is no answer within 10 s."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
        try:
            async with asyncio.timeout(REQUEST_SECONDS + 1):
                response = await self._send(method, path, query, body, content_type, accept, timeout)
                try:
                    text = await response.read()
                finally:
                    response.release()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise no_answer(error) from None
        if response.status >= 300:
            raise refusal(response.status, text)
        return parsed(text)

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Sequence[tuple[str, str]], seconds: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer that is read line by line, for at most ``seconds``."""
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        try:
            response = await self._send("GET", path, query, None, JSON, JSON, timeout)
            try:
                if response.status >= 300:
                    raise refusal(response.status, await response.read())
                yield response
            finally:
                response.close()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise no_answer(error) from None

    async def _send(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        body: Any,
        content_type: str,
        accept: str,
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        request = await self._api.param_serialize(
            method,
            path,
            query_params=list(query),
            header_params={"Accept": accept, "Content-Type": content_type},
            auth_settings=["BearerToken"],
        )
        verb, url, headers, *_ = request
        # The body is JSON already: the client would look through it for objects of its generated classes.
        answer = await self._api.call_api(verb, url, headers, body, _request_timeout=timeout)
        response: aiohttp.ClientResponse = answer.response
        return response


@asynccontextmanager
async def open_client(
    *, kubeconfig: str | None = None, context: str | None = None, user_agent: str = "outboxrelay-controller"
) -> AsyncIterator[KubeClient]:
    """A client for the cluster that is named, or that the pod runs in, or else the one of KUBECONFIG.

    Raises CannotRun where there is none.
    """
    configuration = Configuration()
    try:
        if _in_cluster(kubeconfig, context):
            load_incluster_config(client_configuration=configuration)
        else:
            await load_kube_config(
                config_file=kubeconfig, context=context, client_configuration=configuration, persist_config=False
            )
    except (ConfigException, OSError, yaml.YAMLError, TypeError, ValueError) as error:
        # What is no kubeconfig at all, the loader stumbles over anywhere.
        raise _no_cluster(error) from None
    # Looked up once: aiohttp would search the environment for a proxy at each request.
    configuration.client_session_kwargs = {"trust_env": bool(getproxies())}
    api = ApiClient(configuration)
    api.user_agent = user_agent
    try:
        yield KubeClient(api)
    finally:
        await api.close()


def default_namespace(*, kubeconfig: str | None = None, context: str | None = None) -> str:
    """The namespace of the context, or of the pod; raises InvalidInput where there is no such context."""
    if _in_cluster(kubeconfig, context):
        return (SERVICE_ACCOUNT_TOKEN.parent / "namespace").read_text().strip() or "default"
    try:
        contexts, current = list_kube_config_contexts(kubeconfig)
    except (ConfigException, OSError, yaml.YAMLError, TypeError, ValueError) as error:
        # What is no kubeconfig at all, the loader stumbles over anywhere.
        raise _no_cluster(error) from None
    found = next((item for item in contexts if item["name"] == context), current if context is None else None)
    if found is None:
        raise InvalidInput(f"--context: the kubeconfig has no context {context}")
    return str((found["context"] or {}).get("namespace") or "default")


def _no_cluster(error: Exception) -> CannotRun:
    said = str(error) if isinstance(error, ConfigException | OSError) else "KUBECONFIG names no kubeconfig file"
    message = "run in a pod with a service account, or set KUBECONFIG to a file with a current context"
    return CannotRun(f"cannot find the cluster: {' '.join(said.split())}; {message}")


def _in_cluster(kubeconfig: str | None, context: str | None) -> bool:
    named = kubeconfig or context or os.environ.get("KUBECONFIG")
    return SERVICE_ACCOUNT_TOKEN.exists() and not named


def refusal(status: int, text: bytes) -> ClusterFault:
    """The fault that an answer of ``status`` with the body ``text`` stands for."""
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    message = " ".join(str(body.get("message") or text.decode(errors="replace")).split())[:2000]
    return ClusterFault(status, str(body.get("reason") or f"HTTP{status}"), message or f"HTTP status {status}")


def no_answer(error: BaseException) -> ClusterFault:
    """The fault of an API server that did not answer."""
    line = " ".join(str(error).split())[:300] or type(error).__name__
    return ClusterFault(0, "NoAnswer", f"the Kubernetes API does not answer: {line}")


def parsed(text: bytes) -> dict[str, Any]:
    """The JSON object in ``text``."""
    try:
        body = json.loads(text)
    except ValueError:
        raise ClusterFault(0, "NoJSON", "the Kubernetes API answered something that is not JSON") from None
    if not isinstance(body, dict):
        raise ClusterFault(0, "NoJSON", "the Kubernetes API answered something that is not an object")
    return body

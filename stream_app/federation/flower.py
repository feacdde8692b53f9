"""The adapter to Flower: its server, its strategy and its messages over gRPC, with TLS on both sides.

Only arrays and terms travel. Flower's newer SuperLink sends an app to its nodes, which run it: a shop would have to
run what the server sends. With Flower's streaming service a shop runs its own Headrace alone, and no further daemon.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
from flwr.common import (
    Code,
    EvaluateIns,
    EvaluateRes,
    FitIns,
    FitRes,
    Parameters,
    Status,
    serde,
)
from flwr.proto.transport_pb2 import ClientMessage, Reason
from flwr.proto.transport_pb2_grpc import FlowerServiceStub, add_FlowerServiceServicer_to_server
from flwr.server.client_manager import SimpleClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.server import Server, evaluate_clients
from flwr.server.strategy import Strategy
from flwr.server.superlink.fleet.grpc_bidi.flower_service_servicer import FlowerServiceServicer

from stream_app.errors import UserError
from stream_app.federation.coordinator import Coordinator
from stream_app.federation.credentials import Credentials
from stream_app.federation.shop import Shop
from stream_app.federation.terms import decode_terms

_LOG: Final = logging.getLogger(__name__)

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
MAX_SHOPS: Final = 200
"""Connections of a server; each has a thread."""

FAILED_ROUNDS: Final = 3
"""Rounds in a row without enough updates, after which the server gives up."""

_TERMS: Final = "terms"
_TENSOR_TYPE: Final = "float32"
_OPTIONS: Final = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.so_reuseport", 0),
    # shops of one process would share a connection, and be one shop without certificates
    ("grpc.use_local_subchannel_pool", 1),
)


class _Shops(SimpleClientManager):  # type: ignore[misc]  # Flower's classes are untyped here
    """The connected shops, each once, by the name in its certificate."""

    def __init__(self) -> None:
        super().__init__()
        self.joining = threading.local()
        self.names: dict[str, str] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def wait_for(self, num_clients: int, timeout: float = 86_400.0) -> bool:
        with self._cv:
            self._cv.wait_for(lambda: self._is_closed or len(self.clients) >= num_clients, timeout)
            return not self._is_closed and len(self.clients) >= num_clients

    def close(self) -> None:
        """End all waiting."""
        with self._cv:
            self._is_closed = True
            self._cv.notify_all()

    def register(self, client: ClientProxy) -> bool:
        name: str = self.joining.name
        with self._lock:
            if name in self.names.values() or len(self.names) >= MAX_SHOPS:
                _LOG.warning("refusing shop %s: a shop with this certificate takes part already", name)
                return False
            self.names[client.cid] = name
        _LOG.info("shop %s takes part", name)
        return bool(super().register(client))

    def unregister(self, client: ClientProxy) -> None:
        super().unregister(client)
        with self._lock:
            name = self.names.pop(client.cid, None)
        if name is not None:
            _LOG.info("shop %s has left", name)


class _Service(FlowerServiceServicer):  # type: ignore[misc]
    """Tells the names of the shops from their certificates."""

    def Join(self, request_iterator: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        names = context.auth_context().get("x509_common_name")
        # registered by the same thread, at the first step of the iterator
        self.client_manager.joining.name = names[0].decode() if names else context.peer()
        yield from super().Join(request_iterator, context)


class _Rounds(Strategy):  # type: ignore[misc]
    """Every connected shop trains in every round."""

    def __init__(self, coordinator: Coordinator, least: int, join_timeout: float) -> None:
        self._coordinator = coordinator
        self._least = least
        self._join_timeout = join_timeout
        self._names: dict[str, str] = {}
        self.expected = least
        self.accepted: list[str] = []

    def initialize_parameters(self, client_manager: _Shops) -> Parameters:
        return self.parameters()

    def parameters(self) -> Parameters:
        """The shared parameters as a message of Flower."""
        return Parameters(self._coordinator.tensors(), _TENSOR_TYPE)

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: _Shops
    ) -> list[tuple[ClientProxy, FitIns]]:
        if not client_manager.wait_for(self.expected, self._join_timeout):
            raise UserError(
                f"{client_manager.num_available()} of {self.expected} shops joined within {self._join_timeout:g} s; "
                "start the others, or wait longer by --join-timeout."
            )
        self._names = dict(client_manager.names)
        instructions = FitIns(self.parameters(), {_TERMS: self._coordinator.terms().encode()})
        return [(client, instructions) for client in list(client_manager.all().values())]

    def aggregate_fit(
        self, server_round: int, results: list[tuple[ClientProxy, FitRes]], failures: list[Any]
    ) -> tuple[Parameters, dict[str, Any]]:
        given = {
            self._names.get(client.cid, client.cid): result.parameters.tensors for client, result in results
        }
        self.accepted = self._coordinator.finish_round(given, self._least)
        self.expected = self._least
        return self.parameters(), {}

    def configure_evaluate(
        self, server_round: int, parameters: Parameters, client_manager: _Shops
    ) -> list[tuple[ClientProxy, EvaluateIns]]:
        return [(client, EvaluateIns(parameters, {})) for client in list(client_manager.all().values())]

    def aggregate_evaluate(
        self, server_round: int, results: Any, failures: Any
    ) -> tuple[None, dict[str, Any]]:
        return None, {}

    def evaluate(self, server_round: int, parameters: Parameters) -> None:
        return None


class FederationServer:
    """Waits for shops and runs the rounds.

    Parameters
    ----------
    address
        ``host:port``; port 0 chooses a free one.
    credentials
        None for plaintext.
    shops
        The first round waits for this number of shops.
    least
        Later rounds go on with this number of shops and of accepted updates.
    round_timeout
        Seconds that a shop has for a round; one that takes longer is disconnected.
    join_timeout
        Seconds to wait for missing shops.

    Raises
    ------
    UserError
        If it cannot listen at the address, or the certificate and its key do not fit.
    """

    def __init__(
        self,
        address: str,
        credentials: Credentials | None,
        coordinator: Coordinator,
        *,
        shops: int,
        least: int,
        round_timeout: float,
        join_timeout: float,
    ) -> None:
        self._coordinator = coordinator
        self._shops = _Shops()
        self._timeout = round_timeout
        self._strategy = _Rounds(coordinator, least, join_timeout)
        self._strategy.expected = shops
        self._server = Server(client_manager=self._shops, strategy=self._strategy)
        self._transport = grpc.server(
            ThreadPoolExecutor(MAX_SHOPS), maximum_concurrent_rpcs=MAX_SHOPS, options=_OPTIONS
        )
        add_FlowerServiceServicer_to_server(_Service(self._shops), self._transport)
        self.port = self._listen(address, credentials)

    def _listen(self, address: str, credentials: Credentials | None) -> int:
        try:
            if credentials is None:
                port = self._transport.add_insecure_port(address)
            else:
                # a shop without a certificate of the root cannot join
                port = self._transport.add_secure_port(
                    address,
                    grpc.ssl_server_credentials(
                        [(credentials.private_key, credentials.certificate)],
                        root_certificates=credentials.root,
                        require_client_auth=True,
                    ),
                )
        except RuntimeError:
            port = 0
        if not port:
            raise UserError(
                f"The server cannot listen at {address}: the port is in use, the host is not of this machine, or the "
                "certificate and the private key do not belong together."
            )
        self._transport.start()
        return int(port)

    def run(self, on_round: Callable[[int, Sequence[str]], None]) -> None:
        """Run all rounds that are left, and send the last parameters to all shops.

        Parameters
        ----------
        on_round
            Receives the number of each finished round, and the names of the shops whose updates were accepted.

        Raises
        ------
        UserError
            If shops are missing, or no round succeeds.
        """
        failed = 0
        while not self._coordinator.is_complete:
            self._server.fit_round(self._coordinator.n_rounds + 1, self._timeout)
            failed = 0 if self._strategy.accepted else failed + 1
            if failed >= FAILED_ROUNDS:
                raise UserError(
                    f"Round {self._coordinator.n_rounds + 1} failed {failed} times: too few updates were accepted; "
                    "look at the log of the server and of the shops."
                )
            if not failed:
                on_round(self._coordinator.n_rounds, self._strategy.accepted)
        last = self._strategy.configure_evaluate(0, self._strategy.parameters(), self._shops)
        evaluate_clients(last, max_workers=None, timeout=self._timeout, group_id=0)
        self._server.disconnect_all_clients(self._timeout)

    def close(self) -> None:
        """End all connections; a round that waits for shops ends with them."""
        self._shops.close()
        self._transport.stop(grace=1.0)


class Connection:
    """A shop's connection to a server.

    Parameters
    ----------
    address
        ``host:port``; with TLS, the host must be one of the server's certificate.
    credentials
        None for plaintext.
    timeout
        Seconds to try to reach the server, at the start and when it was lost.
    """

    def __init__(self, address: str, credentials: Credentials | None, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._credentials = credentials

    def take_part(self, shop: Shop) -> list[bytes]:
        """Answer rounds until the server ends the federation; return the last shared parameters.

        Raises
        ------
        UserError
            If the server cannot be reached, ends the connection, or asks for what the shop refuses.
        """
        while True:
            with self._open() as channel:
                try:
                    return self._answer(channel, shop)
                except grpc.RpcError as error:
                    # the server was stopped or killed, and may be started again
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise UserError(
                            f"The server at {self._address} ended the connection: {error.details()}."
                        ) from None
                    _LOG.warning("the server at %s was lost; trying to reach it again", self._address)

    def _open(self) -> grpc.Channel:
        given = self._credentials
        if given is None:
            channel = grpc.insecure_channel(self._address, _OPTIONS)
        else:
            secure = grpc.ssl_channel_credentials(given.root, given.private_key, given.certificate)
            channel = grpc.secure_channel(self._address, secure, _OPTIONS)
        try:
            grpc.channel_ready_future(channel).result(self._timeout)
        except grpc.FutureTimeoutError:
            channel.close()
            tls = "" if given is None else " by TLS"
            hint = "" if given is None else (
                ", that its certificate names this host, and that --root-certificate signed the certificates of both"
            )  # fmt: skip
            raise UserError(
                f"The server at {self._address} was not reached{tls} within {self._timeout:g} s; "
                f"check that it runs{hint}."
            ) from None
        return channel

    def _answer(self, channel: grpc.Channel, shop: Shop) -> list[bytes]:
        replies: queue.SimpleQueue[ClientMessage | None] = queue.SimpleQueue()
        last: list[bytes] | None = None
        try:
            for message in FlowerServiceStub(channel).Join(iter(replies.get, None)):
                match message.WhichOneof("msg"):
                    case "fit_ins":
                        replies.put(_train(shop, serde.fit_ins_from_proto(message.fit_ins)))
                    case "evaluate_ins":
                        last = serde.evaluate_ins_from_proto(message.evaluate_ins).parameters.tensors
                        done = EvaluateRes(Status(Code.OK, ""), 0.0, 1, {})
                        replies.put(ClientMessage(evaluate_res=serde.evaluate_res_to_proto(done)))
                    case "reconnect_ins" if last is not None:
                        acknowledged = ClientMessage.DisconnectRes(reason=Reason.ACK)
                        replies.put(ClientMessage(disconnect_res=acknowledged))
                        break
                    case unknown:
                        raise UserError(f"The server asks for {unknown}, which a shop does not answer.")
        finally:
            replies.put(None)
        if last is None:
            raise UserError(
                "The server ended the connection before the first round: a shop with the same certificate takes part "
                "already, or too many do."
            )
        return last


def _train(shop: Shop, instructions: FitIns) -> ClientMessage:
    try:
        terms = decode_terms(instructions.config.get(_TERMS, b""))
    except ValueError as error:
        raise UserError(f"The server's terms cannot be accepted: {error}.") from None
    update = shop.answer(terms, instructions.parameters.tensors)
    # one example: the number of a shop's sessions does not travel
    result = FitRes(Status(Code.OK, ""), Parameters(update, _TENSOR_TYPE), 1, {})
    return ClientMessage(fit_res=serde.fit_res_to_proto(result))

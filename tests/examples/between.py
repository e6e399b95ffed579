"""Something between two programs that talk HTTP: it passes on what they say, or changes it, or loses it."""

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator, Mapping

import requests

# What becomes of an answer, or None to lose it; of a request's body; and headers that a body gets instead of its own.
OnAnswer = Callable[[str, str, bytes], bytes | None]
OnRequest = Callable[[bytes], bytes]
OnHeaders = Callable[[bytes], Mapping[str, str]]
PASSED_ON = ("Content-Type", "Retry-After")


@contextlib.contextmanager
def between(
    target: str,
    *,
    answer: OnAnswer = lambda _method, _path, body: body,
    request: OnRequest = lambda body: body,
    headers: OnHeaders = lambda _body: {},
) -> Iterator[str]:
    """Pass on to `target` while the block runs; yield where to call instead."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def pass_on(self) -> None:
            body = request(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
            own = {name.lower(): value for name, value in self.headers.items()} | dict(headers(body))
            kept = {name: value for name, value in own.items() if name not in ("host", "content-length")}
            given = requests.request(self.command, target + self.path, data=body, headers=kept, timeout=30)
            told = answer(self.command, self.path, given.content)
            if told is None:
                self.close_connection = True
                return
            self.send_response(given.status_code)
            for name in PASSED_ON:
                if name in given.headers:
                    self.send_header(name, given.headers[name])
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_POST = pass_on

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()

"""Something between two programs that talk HTTP: it passes on what they say, or changes it, or loses it."""

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator

import requests

# What becomes of an answer, or None to lose it; and what becomes of a request's body.
OnAnswer = Callable[[str, str, bytes], bytes | None]
OnRequest = Callable[[bytes], bytes]
PASSED_ON = ("Content-Type", "Retry-After")


@contextlib.contextmanager
def between(
    target: str, *, answer: OnAnswer = lambda _method, _path, body: body, request: OnRequest = lambda body: body
) -> Iterator[str]:
    """Pass on to `target` while the block runs; yield where to call instead."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def pass_on(self) -> None:
            body = request(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
            headers = {name: value for name, value in self.headers.items() if name not in ("Host", "Content-Length")}
            given = requests.request(self.command, target + self.path, data=body, headers=headers, timeout=30)
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

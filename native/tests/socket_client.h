// A client of ngtcp2's over a real socket that does what our own never does: sends its packets in another order, has a ClientHello of several packets, goes on from another address.
#pragma once

#include <gnutls/gnutls.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "tap.h"
#include "tls_fixture.h"

namespace kwik::test {

class SocketClient {
public:
    // `padding`: bytes that the ClientHello has more than it needs, as one with post-quantum key shares would.
    explicit SocketClient(std::uint16_t server, const std::string& alpn = "kwik", std::size_t padding = 0) : server_{server}, padding_(padding, 'x') {
        ngtcp2_cid destination{};
        destination.datalen = 18;
        ok(gnutls_rnd(GNUTLS_RND_NONCE, destination.data, destination.datalen));
        endpoint.start_client(TlsSession::client(load(client_flags), wire_list({alpn}), "localhost"), destination);
        if (padding > 0) add_padding();
        write();
    }

    // Sends and receives until the condition holds, which is asked every few milliseconds; accepts the server's certificate if `validates`. False: it did not in time, or the connection ended.
    [[nodiscard]] bool run_until(const std::function<bool()>& condition) {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (!condition()) {
            if (std::chrono::steady_clock::now() > deadline || endpoint.error != 0) return false;
            if (reorder) std::ranges::reverse(flight);
            for (const Bytes& packet : flight) socket_->send(packet, server_);
            flight.clear();
            if (const auto answer = socket_->receive(std::chrono::milliseconds{5})) {
                retries += is_retry(*answer);
                endpoint.read(*answer, now());
            }
            if (validates && endpoint.certificate_events == 1 && endpoint.tls().certificate_pending()) endpoint.answer(true, 0, now());
            endpoint.expire(now());
            write();
        }
        return true;
    }

    // As soon as the server has given out another connection id.
    [[nodiscard]] bool migrate() {
        if (!run_until([this] { return endpoint.migrate(now()); })) return false;
        socket_ = std::make_unique<Socket>();
        write();
        return true;
    }
    std::uint16_t port() const { return socket_->port(); }

    Endpoint endpoint{false};
    std::vector<Bytes> flight;  // Written, not sent yet.
    bool reorder = false;
    bool validates = true;
    int retries = 0;

private:
    ngtcp2_tstamp now() const { return 1 + static_cast<ngtcp2_tstamp>(std::chrono::nanoseconds(std::chrono::steady_clock::now() - start_).count()); }
    void write() {
        while (auto packet = endpoint.write(now())) flight.push_back(std::move(*packet));
    }
    void add_padding() {
        auto session = static_cast<gnutls_session_t>(ngtcp2_conn_get_tls_native_handle(endpoint.conn()));
        constexpr int greased = 0xfafa;
        ok(gnutls_session_ext_register(session, "padding", greased, GNUTLS_EXT_TLS, nullptr, send_padding, nullptr, nullptr, nullptr, GNUTLS_EXT_FLAG_CLIENT_HELLO));
        // The session's own pointer is ngtcp2's, so the callback cannot find us.
        padding_of_session = &padding_;
    }
    static int send_padding(gnutls_session_t, gnutls_buffer_t out) {
        return gnutls_buffer_append_data(out, padding_of_session->data(), padding_of_session->size()) < 0 ? -1 : static_cast<int>(padding_of_session->size());
    }
    static inline const std::string* padding_of_session = nullptr;

    const std::uint16_t server_;
    const std::string padding_;
    const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    std::unique_ptr<Socket> socket_ = std::make_unique<Socket>();
};

}  // namespace kwik::test

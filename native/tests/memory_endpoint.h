// One end of a QUIC connection without a network: packets are values, the clock is an argument.
#pragma once

#include <gnutls/crypto.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "pki.h"
#include "quic_api.h"
#include "tls.h"
#include "wire.h"

namespace kwik::test {

// It answers PEER_CERTIFICATE_RECEIVED only when the test says so.
class Endpoint {
public:
    explicit Endpoint(bool is_server) : is_server_{is_server} {
        local_.sin_family = remote_.sin_family = AF_INET;
        local_.sin_port = htons(is_server ? 1 : 2);
        remote_.sin_port = htons(is_server ? 2 : 1);
        path_ = {.local = {reinterpret_cast<sockaddr*>(&local_), sizeof local_}, .remote = {reinterpret_cast<sockaddr*>(&remote_), sizeof remote_}, .user_data = nullptr};
    }
    Endpoint(const Endpoint&) = delete;
    ~Endpoint() { ngtcp2_conn_del(conn_); }

    void start_client(std::unique_ptr<TlsSession> session, const ngtcp2_cid& dcid) {
        start(dcid, nullptr);
        use(std::move(session));
    }

    void start_server(std::unique_ptr<TlsSession> session, const ngtcp2_cid& client_scid, const ngtcp2_cid& original_dcid) {
        start(client_scid, &original_dcid);
        use(std::move(session));
    }

    // A session that is no TlsSession, to play a peer with other habits.
    void start_raw(gnutls_session_t session, const ngtcp2_cid& dcid, const ngtcp2_cid* original_dcid) {
        start(dcid, original_dcid);
        raw_ref_ = {.get_conn = [](ngtcp2_crypto_conn_ref* ref) { return static_cast<Endpoint*>(ref->user_data)->conn_; }, .user_data = this};
        gnutls_session_set_ptr(session, &raw_ref_);
        ngtcp2_conn_set_tls_native_handle(conn_, session);
    }

    ngtcp2_conn* conn() { return conn_; }
    TlsSession& tls() { return *tls_; }
    const ngtcp2_cid& scid() const { return scid_; }

    void read(std::span<const std::uint8_t> packet, ngtcp2_tstamp now) {
        if (error != 0) return;
        error = ngtcp2_conn_read_pkt(conn_, &path_, nullptr, packet.data(), packet.size(), now);
        if (tls_ && tls_->take_certificate_event()) ++certificate_events;
    }

    std::optional<Bytes> write(ngtcp2_tstamp now) {
        Bytes packet(1452);
        ngtcp2_ssize size;
        if (error == 0) {
            size = ngtcp2_conn_write_pkt(conn_, nullptr, nullptr, packet.data(), packet.size(), now);
            if (size < 0) error = static_cast<int>(size);
        } else {
            if (std::exchange(closed_, true) || error == NGTCP2_ERR_DRAINING) return {};
            ngtcp2_ccerr close;
            ngtcp2_ccerr_default(&close);
            if (error == NGTCP2_ERR_CRYPTO) ngtcp2_ccerr_set_tls_alert(&close, ngtcp2_conn_get_tls_alert(conn_), nullptr, 0);
            else ngtcp2_ccerr_set_liberr(&close, error, nullptr, 0);
            size = ngtcp2_conn_write_connection_close(conn_, nullptr, nullptr, packet.data(), packet.size(), &close, now);
        }
        if (size <= 0) return {};
        packet.resize(static_cast<std::size_t>(size));
        return packet;
    }

    // What the library's core does with ConnectionCertificateValidationComplete.
    void answer(bool accept, std::uint32_t alert, ngtcp2_tstamp now) {
        error = tls_->resume_validation(accept, alert);
        if (error == 0) read_unknown_version(now);
    }

    void read_unknown_version(ngtcp2_tstamp now) {
        std::array<std::uint8_t, max_unknown_version_packet> buffer;
        read(write_unknown_version_packet(buffer, {scid_.data, scid_.datalen}), now);
    }

    // A packet with the data on a new stream.
    Bytes write_stream(std::string_view data, ngtcp2_tstamp now) {
        std::int64_t id;
        ok(ngtcp2_conn_open_bidi_stream(conn_, &id, nullptr));
        Bytes packet(1452);
        ngtcp2_ssize taken;
        const auto size = ngtcp2_conn_write_stream(conn_, nullptr, nullptr, packet.data(), packet.size(), &taken, NGTCP2_WRITE_STREAM_FLAG_FIN, id,
                                                   reinterpret_cast<const std::uint8_t*>(data.data()), data.size(), now);
        ok(static_cast<int>(size));
        EXPECT_EQ(taken, static_cast<ngtcp2_ssize>(data.size()));
        packet.resize(static_cast<std::size_t>(size));
        return packet;
    }

    // Goes on from another address, under another of the peer's connection ids. The test's packets carry no addresses, so this is only what ngtcp2 is told. False: not yet possible.
    bool migrate(ngtcp2_tstamp now) {
        sockaddr_in next = local_;
        next.sin_port = htons(static_cast<std::uint16_t>(ntohs(local_.sin_port) + 1));
        ngtcp2_path path = path_;
        path.local.addr = reinterpret_cast<sockaddr*>(&next);
        if (const int rv = ngtcp2_conn_initiate_immediate_migration(conn_, &path, now)) {
            if (rv != NGTCP2_ERR_INVALID_STATE && rv != NGTCP2_ERR_CONN_ID_BLOCKED) error = rv;
            return false;
        }
        local_ = next;
        return true;
    }

    // What is due by now: lost packets are sent again by the next write.
    void expire(ngtcp2_tstamp now) {
        if (error == 0 && ngtcp2_conn_get_expiry(conn_) <= now) error = ngtcp2_conn_handle_expiry(conn_, now);
    }

    std::uint64_t close_code_from_peer() { return close_error_of(conn_).error_code; }

    int error = 0;  // Of ngtcp2; 0 while the connection works.
    int completed = 0;
    int certificate_events = 0;
    int messages_after_handshake = 0;  // Of TLS.
    std::string received;  // Of all streams.
    Bytes initial_crypto;  // What came at the Initial level: for a server, the ClientHello.

private:
    static Endpoint& self(void* user_data) { return *static_cast<Endpoint*>(user_data); }

    void start(const ngtcp2_cid& dcid, const ngtcp2_cid* original_dcid) {
        ngtcp2_callbacks callbacks{};
        callbacks.client_initial = ngtcp2_crypto_client_initial_cb;
        callbacks.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
        callbacks.recv_crypto_data = [](ngtcp2_conn* conn, ngtcp2_encryption_level level, std::uint64_t offset, const std::uint8_t* data, std::size_t size, void* user_data) {
            if (level == NGTCP2_ENCRYPTION_LEVEL_INITIAL) self(user_data).initial_crypto.insert(self(user_data).initial_crypto.end(), data, data + size);
            if (level == NGTCP2_ENCRYPTION_LEVEL_1RTT) ++self(user_data).messages_after_handshake;
            return ngtcp2_crypto_recv_crypto_data_cb(conn, level, offset, data, size, user_data);
        };
        callbacks.recv_stream_data = [](ngtcp2_conn*, std::uint32_t, std::int64_t, std::uint64_t, const std::uint8_t* data, std::size_t size, void* user_data, void*) {
            self(user_data).received.append(reinterpret_cast<const char*>(data), size);
            return 0;
        };
        callbacks.handshake_completed = [](ngtcp2_conn*, void* user_data) { return ++self(user_data).completed, 0; };
        callbacks.encrypt = ngtcp2_crypto_encrypt_cb;
        callbacks.decrypt = ngtcp2_crypto_decrypt_cb;
        callbacks.hp_mask = ngtcp2_crypto_hp_mask_cb;
        callbacks.recv_retry = ngtcp2_crypto_recv_retry_cb;
        callbacks.rand = [](std::uint8_t* out, std::size_t size, const ngtcp2_rand_ctx*) { ok(gnutls_rnd(GNUTLS_RND_NONCE, out, size)); };
        callbacks.get_new_connection_id = [](ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token, std::size_t size, void*) {
            id->datalen = size;
            ok(gnutls_rnd(GNUTLS_RND_NONCE, id->data, size));
            ok(gnutls_rnd(GNUTLS_RND_NONCE, token, NGTCP2_STATELESS_RESET_TOKENLEN));
            return 0;
        };
        callbacks.update_key = ngtcp2_crypto_update_key_cb;
        callbacks.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
        callbacks.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
        callbacks.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
        callbacks.version_negotiation = ngtcp2_crypto_version_negotiation_cb;

        ngtcp2_settings settings;
        ngtcp2_settings_default(&settings);
        settings.initial_ts = 1;
        ngtcp2_transport_params parameters;
        ngtcp2_transport_params_default(&parameters);
        parameters.initial_max_streams_bidi = 3;
        parameters.initial_max_data = parameters.initial_max_stream_data_bidi_remote = 10'000;
        scid_.datalen = 12;
        std::memset(scid_.data, is_server_ ? 0x55 : 0xcc, scid_.datalen);
        if (is_server_) {
            set_original_dcid(parameters, *original_dcid);
            ASSERT_EQ(ngtcp2_conn_server_new(&conn_, &dcid, &scid_, &path_, NGTCP2_PROTO_VER_V1, &callbacks, &settings, &parameters, nullptr, this), 0);
        } else {
            ASSERT_EQ(ngtcp2_conn_client_new(&conn_, &dcid, &scid_, &path_, NGTCP2_PROTO_VER_V1, &callbacks, &settings, &parameters, nullptr, this), 0);
        }
    }

    void use(std::unique_ptr<TlsSession> session) {
        ASSERT_NE(session, nullptr);
        tls_ = std::move(session);
        tls_->attach(conn_);
    }

    const bool is_server_;
    bool closed_ = false;
    sockaddr_in local_{}, remote_{};
    ngtcp2_path path_;
    ngtcp2_cid scid_{};
    std::unique_ptr<TlsSession> tls_;
    ngtcp2_crypto_conn_ref raw_ref_{};
    ngtcp2_conn* conn_ = nullptr;
};

}  // namespace kwik::test

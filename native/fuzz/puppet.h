// A client that says what it is told: a proper QUIC connection, whose packets are sealed with other contents than ngtcp2 wrote.
#pragma once

#include <gnutls/crypto.h>

#include <cstring>
#include <vector>

#include "live_server.h"

namespace kwik::fuzz {

class Puppet {
public:
    explicit Puppet(LiveServer& server) : server_(server), fd_(server.open_socket()) {
        ngtcp2_callbacks callbacks{};
        callbacks.client_initial = ngtcp2_crypto_client_initial_cb;
        callbacks.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
        callbacks.handshake_completed = [](ngtcp2_conn*, void* self) {
            static_cast<Puppet*>(self)->connected_ = true;
            return 0;
        };
        callbacks.encrypt = encrypt;
        callbacks.decrypt = ngtcp2_crypto_decrypt_cb;
        callbacks.hp_mask = ngtcp2_crypto_hp_mask_cb;
        callbacks.recv_retry = ngtcp2_crypto_recv_retry_cb;
        callbacks.rand = [](std::uint8_t* out, std::size_t size, const ngtcp2_rand_ctx*) { std::memset(out, 3, size); };
        callbacks.get_new_connection_id = [](ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token, std::size_t size, void*) {
            id->datalen = size;
            gnutls_rnd(GNUTLS_RND_NONCE, id->data, size);
            std::memset(token, 4, NGTCP2_STATELESS_RESET_TOKENLEN);
            return 0;
        };
        callbacks.update_key = ngtcp2_crypto_update_key_cb;
        callbacks.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
        callbacks.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
        callbacks.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
        callbacks.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
        ngtcp2_settings settings;
        ngtcp2_settings_default(&settings);
        settings.initial_ts = ++now_;
        ngtcp2_transport_params params;
        ngtcp2_transport_params_default(&params);
        params.initial_max_streams_bidi = params.initial_max_streams_uni = 4;
        params.initial_max_data = params.initial_max_stream_data_bidi_local = params.initial_max_stream_data_bidi_remote = 100'000;
        ngtcp2_cid source{}, destination{};
        source.datalen = 8;
        std::memset(source.data, 1, source.datalen);
        destination.datalen = 12;
        std::memset(destination.data, 2, destination.datalen);
        local_.v4.sin_family = AF_INET;
        remote_ = server.address();
        path_ = {.local = {&local_.base, local_.length()}, .remote = {&remote_.base, remote_.length()}, .user_data = nullptr};
        require(ngtcp2_conn_client_new(&conn_, &destination, &source, &path_, NGTCP2_PROTO_VER_V1, &callbacks, &settings, &params, nullptr, this) == 0, "a client");
        tls_ = TlsSession::client(server.client_credential(), server.alpn_list(), "fuzz");
        require(tls_ != nullptr, "a TLS session");
        tls_->attach(conn_);
    }
    ~Puppet() {
        ngtcp2_conn_del(conn_);
        ::close(fd_);
    }
    Puppet(const Puppet&) = delete;

    // True once connected. Packets are what ngtcp2 writes.
    bool shake_hands() {
        for (int round = 0; round < 10 && !connected_; ++round) {
            write();
            server_.turn();
            read();
        }
        write();
        server_.turn();
        read();
        return connected_;
    }

    // Sends the next packet with these frames in it, filled up with PADDING, at the level that the connection has reached.
    void say(Input frames) {
        if (connected_ && stream_ < 0 && ngtcp2_conn_open_bidi_stream(conn_, &stream_, nullptr) != 0) return;
        frames = frames.first(std::min<std::size_t>(frames.size(), 1100));
        static std::uint8_t filler[1200];
        std::uint8_t packet[1452];
        content_ = frames;
        has_content_ = true;
        ngtcp2_ssize taken;
        const ngtcp2_ssize size = connected_ ? ngtcp2_conn_write_stream(conn_, nullptr, nullptr, packet, sizeof packet, &taken, NGTCP2_WRITE_STREAM_FLAG_NONE, stream_, filler,
                                                                        std::max<std::size_t>(frames.size(), 1), now_ += 1'000'000)
                                             : ngtcp2_conn_write_pkt(conn_, nullptr, nullptr, packet, sizeof packet, now_ += 1'000'000);
        has_content_ = false;
        if (size > 0) send({packet, static_cast<std::size_t>(size)});
    }

    void send(Input datagram) { (void)!::send(fd_, datagram.data(), datagram.size(), 0); }

    void write() {
        std::uint8_t packet[1452];
        for (int i = 0; i < 10; ++i) {
            const ngtcp2_ssize size = ngtcp2_conn_write_pkt(conn_, nullptr, nullptr, packet, sizeof packet, now_ += 1'000'000);
            if (size <= 0) return;
            send({packet, static_cast<std::size_t>(size)});
        }
    }

    void read() {
        std::uint8_t packet[2048];
        for (ssize_t size; (size = recv(fd_, packet, sizeof packet, 0)) > 0;) {
            if (ngtcp2_conn_read_pkt(conn_, &path_, nullptr, packet, static_cast<std::size_t>(size), now_ += 1'000'000) != 0) return;
        }
    }

private:
    // ngtcp2 gives no user data to this callback; there is one puppet at a time.
    static int encrypt(std::uint8_t* out, const ngtcp2_crypto_aead* aead, const ngtcp2_crypto_aead_ctx* context, const std::uint8_t* plain, std::size_t length, const std::uint8_t* nonce,
                       std::size_t nonce_length, const std::uint8_t* header, std::size_t header_length) {
        std::vector<std::uint8_t> content(plain, plain + length);
        if (has_content_) {
            std::ranges::fill(content, 0);
            std::ranges::copy(content_.first(std::min(content_.size(), length)), content.begin());
        }
        return ngtcp2_crypto_encrypt_cb(out, aead, context, content.data(), length, nonce, nonce_length, header, header_length);
    }
    static inline Input content_{};
    static inline bool has_content_ = false;

    LiveServer& server_;
    const int fd_;
    Address local_, remote_;
    ngtcp2_path path_;
    ngtcp2_conn* conn_ = nullptr;
    std::unique_ptr<TlsSession> tls_;
    bool connected_ = false;
    std::int64_t stream_ = -1;
    ngtcp2_tstamp now_ = 1;
};

}  // namespace kwik::fuzz

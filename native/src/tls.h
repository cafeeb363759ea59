// The TLS 1.3 side of one connection: a GnuTLS session that ngtcp2 drives.
//
// Life: make it with client() or server(), attach() the ngtcp2_conn, give ngtcp2 its ordinary crypto callbacks, destroy it after the ngtcp2_conn. Not thread-safe: it belongs to
// the worker of its connection. TLS 1.3 only, no early data; ALPN is mandatory: a mismatch is alert 120 (transport error 0x178), on both sides. No session tickets are sent, and nobody
// reads those that come: the owner drops crypto data of the application level instead of feeding it, or a peer could fill the memory.
// After a fatal error ngtcp2_conn_get_tls_alert(conn) has the alert, as for any ngtcp2 connection.
//
//   CertificateState:   none --(peer's Certificate message)--> pending --resume_validation(true)--> accepted
//                                                                 `----resume_validation(false)--> rejected
#pragma once

#include <gnutls/gnutls.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "credential.h"
#include "quic_api.h"

namespace kwik {

enum class CertificateState {
    none,      // No certificate message yet, or none will come (see Credential::indicates_certificate).
    pending,   // The handshake waits for resume_validation.
    accepted,
    rejected,
};

// What PEER_CERTIFICATE_RECEIVED shows. Both are empty when a client that was asked for a certificate sent none.
struct PeerCertificate {
    std::vector<std::uint8_t> leaf;   // DER.
    std::vector<std::uint8_t> chain;  // PKCS#7 signed-data in DER with all certificates that were sent, in DER's order of a set; empty for a lone leaf.
};

// Same layout and numbers as QUIC_HANDSHAKE_INFO; the last field exists since MsQuic 2.5 and may be cut off.
struct HandshakeInfo {
    std::uint32_t protocol = 0;  // 0x3000 for TLS 1.3.
    std::uint32_t cipher = 0;
    std::int32_t cipher_strength = 0;
    std::uint32_t hash = 0;
    std::int32_t hash_strength = 0;
    std::uint32_t key_exchange = 0;
    std::int32_t key_exchange_strength = 0;
    std::uint32_t cipher_suite = 0;  // 0x1301 to 0x1303.
    std::uint32_t group = 0;         // IANA number of the key exchange group.
};
static_assert(sizeof(HandshakeInfo) == 36);

// Same layout as QUIC_TLS_SECRETS, the target of the parameter CONN_TLS_SECRETS.
struct TlsSecrets {
    static constexpr std::size_t max_secret = 64;
    enum Set : std::uint8_t { client_random_set = 1, client_handshake_set = 4, server_handshake_set = 8, client_traffic_set = 16, server_traffic_set = 32 };

    std::uint8_t secret_length;
    std::uint8_t is_set;  // Bits of Set.
    std::uint8_t client_random[32];
    std::uint8_t client_early_traffic[max_secret];
    std::uint8_t client_handshake_traffic[max_secret];
    std::uint8_t server_handshake_traffic[max_secret];
    std::uint8_t client_traffic[max_secret];
    std::uint8_t server_traffic[max_secret];
};
static_assert(sizeof(TlsSecrets) == 354);

// The protocols that a session can offer: in order of preference, in wire form (each preceded by its length byte), 1 to 8 names of 1 to 31 bytes. The limits are GnuTLS' own.
[[nodiscard]] bool valid_alpn_list(std::span<const std::uint8_t> alpn_list) noexcept;

// PKCS#7 signed-data in DER with these certificates, see PeerCertificate::chain. 0, or GnuTLS' error, and then `out` is as it was: they come from the peer and may be anything. Throws std::bad_alloc.
[[nodiscard]] int encode_chain(std::span<const gnutls_datum_t> certificates, std::vector<std::uint8_t>& out);

class TlsSession {
public:
    // alpn_list: see valid_alpn_list; it is copied.
    // server_name: sent as SNI unless it is empty, an IP address, or a name that GnuTLS refuses (above 255 bytes, no IDNA form); a final dot is left out.
    // The credential must be a client's or a server's respectively.
    // nullptr: an invalid ALPN list, a credential of the other side, or no memory.
    [[nodiscard]] static std::unique_ptr<TlsSession> client(std::shared_ptr<const Credential> credential, std::span<const std::uint8_t> alpn_list, std::string_view server_name) noexcept;
    // The server's order decides among the protocols that both sides know.
    [[nodiscard]] static std::unique_ptr<TlsSession> server(std::shared_ptr<const Credential> credential, std::span<const std::uint8_t> alpn_list) noexcept;

    ~TlsSession();
    TlsSession(const TlsSession&) = delete;
    TlsSession& operator=(const TlsSession&) = delete;

    // Makes this the TLS session of `conn` (ngtcp2_conn_set_tls_native_handle). Once, before any handshake byte is read or written; `conn` must outlive the last TLS call.
    void attach(ngtcp2_conn* conn) noexcept;

    // The peer's certificate. The state becomes pending inside ngtcp2_conn_read_pkt (or inside resume and feeds of crypto data); ngtcp2 sees a handshake that waits for bytes.
    // The peer has proved by then that it has the certificate's key; its Finished message is checked after the pause.
    CertificateState certificate_state() const noexcept { return state_; }
    bool certificate_pending() const noexcept { return state_ == CertificateState::pending; }
    // True exactly once per session: the event PEER_CERTIFICATE_RECEIVED is due. Ask after each read_pkt.
    [[nodiscard]] bool take_certificate_event() noexcept;
    // Valid (and unchanged) from pending until release_peer_certificate or the end of the session.
    const PeerCertificate& peer_certificate() const noexcept { return peer_; }
    // Frees the memory of peer_certificate once the application has it.
    void release_peer_certificate() noexcept { peer_ = {}; }

    // The application's answer, once, in the state pending (otherwise nothing happens and the result is 0). Not inside an ngtcp2 call.
    // Accepted: the handshake continues with the bytes that came meanwhile. ngtcp2 loses the handshake_completed callback (1.x: crashes) if it writes first, so after a 0 the next call on
    // the connection must be ngtcp2_conn_read_pkt with a packet from write_unknown_version_packet, on the connection's current path.
    // Rejected: `alert` is what the peer is told; values above 255 count as bad_certificate (42).
    // Returns 0, or an ngtcp2 error to treat as ngtcp2_conn_read_pkt's: NGTCP2_ERR_CRYPTO with ngtcp2_conn_get_tls_alert(conn) set after a rejection and after a TLS failure.
    [[nodiscard]] int resume_validation(bool accept, std::uint32_t alert) noexcept;

    // The protocol agreed upon; empty before the ServerHello was processed. Lives as long as the session.
    std::span<const std::uint8_t> negotiated_alpn() const noexcept;
    // False before the cipher suite is agreed upon; `out` is unchanged then.
    [[nodiscard]] bool handshake_info(HandshakeInfo& out) const noexcept;
    // From now on secrets are written to `sink` as they are made, nullptr to stop. The sink must live until then or until the session ends. Set it before the handshake starts.
    void capture_secrets(TlsSecrets* sink) noexcept;

private:
    TlsSession() = default;
    static std::unique_ptr<TlsSession> make(std::shared_ptr<const Credential> credential, std::span<const std::uint8_t> alpn_list, unsigned flags) noexcept;
    static TlsSession& from(gnutls_session_t session) noexcept;
    static int on_verify(gnutls_session_t session) noexcept;
    static int on_client_hello(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming, const gnutls_datum_t* message) noexcept;
    static int on_secret(gnutls_session_t session, const char* label, const gnutls_datum_t* secret) noexcept;
    int check_extensions() const noexcept;
    bool read_peer_certificate() noexcept;

    std::shared_ptr<const Credential> credential_;
    gnutls_session_t session_ = nullptr;
    ngtcp2_conn* conn_ = nullptr;
    ngtcp2_crypto_conn_ref conn_ref_{};
    CertificateState state_ = CertificateState::none;
    bool event_taken_ = false;
    PeerCertificate peer_;
    TlsSecrets* secrets_ = nullptr;
};

}  // namespace kwik

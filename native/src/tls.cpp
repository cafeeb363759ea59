#include "tls.h"

#include <arpa/inet.h>
#include <gnutls/pkcs7.h>
#include <gnutls/x509.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <string>
#include <utility>

namespace kwik {
namespace {

constexpr std::uint8_t alert_bad_certificate = 42;

struct AlpnNames {
    std::array<gnutls_datum_t, 8> names;
    unsigned count = 0;
};

bool split_alpn_list(std::span<const std::uint8_t> list, AlpnNames& out) noexcept {
    constexpr std::size_t longest_name = 31;
    out.count = 0;
    while (!list.empty()) {
        const std::size_t length = list[0];
        if (length == 0 || length > longest_name || length >= list.size() || out.count == out.names.size()) return false;
        out.names[out.count++] = {const_cast<unsigned char*>(list.data()) + 1, static_cast<unsigned>(length)};
        list = list.subspan(1 + length);
    }
    return out.count != 0;
}

bool is_ip_address(const std::string& name) noexcept {
    in6_addr parsed;
    const std::string without_scope = name.substr(0, name.find('%'));
    return inet_pton(AF_INET, name.c_str(), &parsed) == 1 || inet_pton(AF_INET6, without_scope.c_str(), &parsed) == 1;
}

void set_server_name(gnutls_session_t session, std::string name) {
    if (name.ends_with('.')) name.pop_back();
    if (name.empty() || is_ip_address(name)) return;
    // The result is left alone on purpose: a name without an IDNA form or too long cannot be sent (RFC 6066, 3), and whether the certificate fits is the application's question.
    static_cast<void>(gnutls_server_name_set(session, GNUTLS_NAME_DNS, name.data(), name.size()));
}

std::uint32_t iana_group(gnutls_group_t group) noexcept {
    switch (group) {
        case GNUTLS_GROUP_SECP256R1: return 23;
        case GNUTLS_GROUP_SECP384R1: return 24;
        case GNUTLS_GROUP_SECP521R1: return 25;
        case GNUTLS_GROUP_X25519: return 29;
        default: return 0;
    }
}

}  // namespace

// Signed-data without content or signature: the customary envelope for a list of certificates.
int encode_chain(std::span<const gnutls_datum_t> certificates, std::vector<std::uint8_t>& out) {
    gnutls_pkcs7_t envelope = nullptr;
    if (const int made = gnutls_pkcs7_init(&envelope); made < 0) return made;
    int result = 0;
    for (const auto& certificate : certificates) {
        result = gnutls_pkcs7_set_crt_raw(envelope, &certificate);
        if (result < 0) break;
    }
    gnutls_datum_t encoded{};
    if (result >= 0) result = gnutls_pkcs7_export2(envelope, GNUTLS_X509_FMT_DER, &encoded);
    gnutls_pkcs7_deinit(envelope);
    if (result < 0) return result;
    const std::unique_ptr<unsigned char, decltype(gnutls_free)> owner{encoded.data, gnutls_free};
    out.assign(encoded.data, encoded.data + encoded.size);
    return 0;
}

bool valid_alpn_list(std::span<const std::uint8_t> alpn_list) noexcept {
    AlpnNames names;
    return split_alpn_list(alpn_list, names);
}

std::unique_ptr<TlsSession> TlsSession::make(std::shared_ptr<const Credential> credential, std::span<const std::uint8_t> alpn_list, unsigned flags) noexcept {
    AlpnNames names;
    if (!credential || credential->is_client() != static_cast<bool>(flags & GNUTLS_CLIENT) || !split_alpn_list(alpn_list, names)) return nullptr;

    std::unique_ptr<TlsSession> made{new (std::nothrow) TlsSession};
    if (!made || gnutls_init(&made->session_, flags | GNUTLS_NO_END_OF_EARLY_DATA) < 0) return nullptr;
    const gnutls_session_t session = made->session_;

    made->credential_ = std::move(credential);
    made->conn_ref_ = {.get_conn = [](ngtcp2_crypto_conn_ref* ref) { return static_cast<TlsSession*>(ref->user_data)->conn_; }, .user_data = made.get()};
    gnutls_session_set_ptr(session, &made->conn_ref_);
    gnutls_session_set_verify_function(session, on_verify);
    if (gnutls_priority_set(session, made->credential_->priorities()) < 0) return nullptr;
    if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, made->credential_->certificates()) < 0) return nullptr;
    if (gnutls_alpn_set_protocols(session, names.names.data(), names.count, GNUTLS_ALPN_SERVER_PRECEDENCE) < 0) return nullptr;
    return made;
}

std::unique_ptr<TlsSession> TlsSession::client(std::shared_ptr<const Credential> credential, std::span<const std::uint8_t> alpn_list, std::string_view server_name) noexcept {
    // One key share instead of two: X25519 is everywhere, and where it is not a HelloRetryRequest costs a round trip.
    auto made = make(std::move(credential), alpn_list, GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT | GNUTLS_KEY_SHARE_TOP);
    if (!made || ngtcp2_crypto_gnutls_configure_client_session(made->session_) != 0) return nullptr;
    try {
        set_server_name(made->session_, std::string{server_name});
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
    return made;
}

std::unique_ptr<TlsSession> TlsSession::server(std::shared_ptr<const Credential> credential, std::span<const std::uint8_t> alpn_list) noexcept {
    auto made = make(std::move(credential), alpn_list, GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET);
    if (!made || ngtcp2_crypto_gnutls_configure_server_session(made->session_) != 0) return nullptr;
    // REQUEST, not REQUIRE: a client without a certificate is the application's decision too.
    gnutls_certificate_server_set_request(made->session_, made->credential_->requires_client_certificate() ? GNUTLS_CERT_REQUEST : GNUTLS_CERT_IGNORE);
    gnutls_handshake_set_hook_function(made->session_, GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_POST, on_client_hello);
    return made;
}

TlsSession::~TlsSession() {
    if (session_) gnutls_deinit(session_);
}

void TlsSession::attach(ngtcp2_conn* conn) noexcept {
    conn_ = conn;
    ngtcp2_conn_set_tls_native_handle(conn, session_);
}

TlsSession& TlsSession::from(gnutls_session_t session) noexcept {
    return *static_cast<TlsSession*>(static_cast<ngtcp2_crypto_conn_ref*>(gnutls_session_get_ptr(session))->user_data);
}

// QUIC cannot do without ALPN (RFC 9001, 8.1), and GNUTLS_ALPN_MANDATORY catches a mismatch only when the peer sent the extension at all. So a server finds out here, and a client in
// on_verify, because at GnuTLS' hook for EncryptedExtensions the extensions are not read yet.
int TlsSession::on_client_hello(gnutls_session_t session, unsigned, unsigned, unsigned, const gnutls_datum_t*) noexcept { return from(session).check_extensions(); }

// Nor can it do without transport parameters (RFC 9001, 8.2), whose absence nobody else notices: ngtcp2 0.12.1 then fails an assertion, and the process ends, when a server writes its first 1-RTT packet.
int TlsSession::check_extensions() const noexcept {
    if (negotiated_alpn().empty()) return GNUTLS_E_NO_APPLICATION_PROTOCOL;
    return ngtcp2_conn_get_remote_transport_params(conn_) == nullptr ? GNUTLS_E_MISSING_EXTENSION : 0;
}

// GnuTLS calls this when it has read the peer's Certificate message, and again each time the handshake is tried until the result is 0 or fatal.
int TlsSession::on_verify(gnutls_session_t session) noexcept {
    TlsSession& self = from(session);
    switch (self.state_) {
        case CertificateState::none:
            if (const int missing = self.check_extensions()) return missing;
            if (!self.credential_->indicates_certificate()) return 0;
            if (!self.read_peer_certificate()) return GNUTLS_E_MEMORY_ERROR;
            self.state_ = CertificateState::pending;
            return GNUTLS_E_AGAIN;
        case CertificateState::pending: return GNUTLS_E_AGAIN;
        case CertificateState::accepted: return 0;
        case CertificateState::rejected: break;
    }
    return GNUTLS_E_CERTIFICATE_ERROR;
}

bool TlsSession::read_peer_certificate() noexcept {
    unsigned count = 0;
    const gnutls_datum_t* certificates = gnutls_certificate_get_peers(session_, &count);
    if (!certificates || count == 0) return true;
    try {
        peer_.leaf.assign(certificates[0].data, certificates[0].data + certificates[0].size);
        return count == 1 || encode_chain({certificates, count}, peer_.chain) == 0;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

bool TlsSession::take_certificate_event() noexcept { return certificate_pending() && !std::exchange(event_taken_, true); }

int TlsSession::resume_validation(bool accept, std::uint32_t alert) noexcept {
    if (!certificate_pending()) return 0;
    if (!accept) {
        state_ = CertificateState::rejected;
        ngtcp2_conn_set_tls_alert(conn_, alert <= 255 ? static_cast<std::uint8_t>(alert) : alert_bad_certificate);
        return NGTCP2_ERR_CRYPTO;
    }
    state_ = CertificateState::accepted;
    if (ngtcp2_crypto_read_write_crypto_data(conn_, NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE, nullptr, 0) == 0) return 0;
    const int error = ngtcp2_conn_get_tls_error(conn_);
    return error != 0 ? error : NGTCP2_ERR_CRYPTO;
}

std::span<const std::uint8_t> TlsSession::negotiated_alpn() const noexcept {
    gnutls_datum_t name{};
    if (gnutls_alpn_get_selected_protocol(session_, &name) < 0) return {};
    return {name.data, name.size};
}

bool TlsSession::handshake_info(HandshakeInfo& out) const noexcept {
    // QUIC_CIPHER_ALGORITHM and QUIC_HASH_ALGORITHM; MsQuic leaves the strength of the hash and the key exchange at 0.
    constexpr std::uint32_t tls13 = 0x3000, aes_128 = 0x660e, aes_256 = 0x6610, chacha20 = 0x6612, sha_256 = 0x800c, sha_384 = 0x800d;
    HandshakeInfo info{.protocol = tls13, .group = iana_group(gnutls_group_get(session_))};
    const auto set = [&info](std::uint32_t suite, std::uint32_t cipher, std::int32_t bits, std::uint32_t hash) {
        info.cipher_suite = suite;
        info.cipher = cipher;
        info.cipher_strength = bits;
        info.hash = hash;
    };
    switch (gnutls_cipher_get(session_)) {
        case GNUTLS_CIPHER_AES_128_GCM: set(0x1301, aes_128, 128, sha_256); break;
        case GNUTLS_CIPHER_AES_256_GCM: set(0x1302, aes_256, 256, sha_384); break;
        case GNUTLS_CIPHER_CHACHA20_POLY1305: set(0x1303, chacha20, 256, sha_256); break;
        default: return false;
    }
    out = info;
    return true;
}

void TlsSession::capture_secrets(TlsSecrets* sink) noexcept {
    secrets_ = sink;
    if (sink) *sink = {};
    gnutls_session_set_keylog_function(session_, sink ? on_secret : nullptr);
}

int TlsSession::on_secret(gnutls_session_t session, const char* label, const gnutls_datum_t* secret) noexcept {
    struct Slot {
        const char* label;
        TlsSecrets::Set bit;
        std::uint8_t (TlsSecrets::*field)[TlsSecrets::max_secret];
    };
    static constexpr std::array<Slot, 4> slots{{
        {"CLIENT_HANDSHAKE_TRAFFIC_SECRET", TlsSecrets::client_handshake_set, &TlsSecrets::client_handshake_traffic},
        {"SERVER_HANDSHAKE_TRAFFIC_SECRET", TlsSecrets::server_handshake_set, &TlsSecrets::server_handshake_traffic},
        {"CLIENT_TRAFFIC_SECRET_0", TlsSecrets::client_traffic_set, &TlsSecrets::client_traffic},
        {"SERVER_TRAFFIC_SECRET_0", TlsSecrets::server_traffic_set, &TlsSecrets::server_traffic},
    }};
    TlsSecrets& sink = *from(session).secrets_;
    const auto slot = std::ranges::find_if(slots, [label](const Slot& candidate) { return std::strcmp(candidate.label, label) == 0; });
    if (slot == slots.end() || secret->size > TlsSecrets::max_secret) return 0;
    std::memcpy(sink.*(slot->field), secret->data, secret->size);
    sink.secret_length = static_cast<std::uint8_t>(secret->size);
    sink.is_set |= slot->bit;

    gnutls_datum_t client_random, server_random;
    gnutls_session_get_random(session, &client_random, &server_random);
    if (client_random.size == sizeof sink.client_random) {
        std::memcpy(sink.client_random, client_random.data, client_random.size);
        sink.is_set |= TlsSecrets::client_random_set;
    }
    return 0;
}

}  // namespace kwik

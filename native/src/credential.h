// What a configuration presents to peers and asks of them: the answer to ConfigurationLoadCredential.
#pragma once

#include <gnutls/gnutls.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace kwik {

// The fields of QUIC_CREDENTIAL_CONFIG that matter, in the ABI's terms. Nothing here is kept after Credential::load.
struct CredentialSource {
    std::uint32_t flags = 0;                  // QUIC_CREDENTIAL_FLAGS.
    std::span<const std::uint8_t> pkcs12{};   // The blob of a PKCS#12 credential; empty for type NONE.
    const char* password = nullptr;           // For the blob; .NET passes none.
    std::uint32_t allowed_cipher_suites = 0;  // QUIC_ALLOWED_CIPHER_SUITE_FLAGS, read only with SET_ALLOWED_CIPHER_SUITES.
};

// Immutable, hence shared by any number of sessions on any threads; a session keeps it alive.
class Credential {
public:
    // Understands CLIENT, NO_CERTIFICATE_VALIDATION, INDICATE_CERTIFICATE_RECEIVED, REQUIRE_CLIENT_AUTHENTICATION, SET_ALLOWED_CIPHER_SUITES and USE_PORTABLE_CERTIFICATES.
    // Trust is always the application's decision, there is no trust list here. `out` is written only on success. Returns a QUIC_STATUS:
    //   0    SUCCESS
    //   12   OUT_OF_MEMORY
    //   22   INVALID_PARAMETER  a server without a certificate; REQUIRE_CLIENT_AUTHENTICATION on a client; no cipher suite left
    //   95   NOT_SUPPORTED      any other flag; a peer certificate that the library would have to validate itself (asked for without NO_CERTIFICATE_VALIDATION)
    //   126  TLS_ERROR          the blob is no PKCS#12, its password or MAC is wrong, it has no key, or no certificate in it belongs to the key
    [[nodiscard]] static std::uint32_t load(const CredentialSource& source, std::shared_ptr<const Credential>& out) noexcept;

    ~Credential();
    Credential(const Credential&) = delete;
    Credential& operator=(const Credential&) = delete;

    bool is_client() const noexcept { return is_client_; }
    // The peer is asked for a certificate and the application decides on it. True for each client that does not turn validation off silently.
    bool indicates_certificate() const noexcept { return indicates_certificate_; }
    bool requires_client_certificate() const noexcept { return requires_client_certificate_; }
    gnutls_certificate_credentials_t certificates() const noexcept { return certificates_; }
    gnutls_priority_t priorities() const noexcept { return priorities_; }

private:
    Credential() = default;

    gnutls_certificate_credentials_t certificates_ = nullptr;
    gnutls_priority_t priorities_ = nullptr;
    bool is_client_ = false;
    bool indicates_certificate_ = false;
    bool requires_client_certificate_ = false;
};

}  // namespace kwik

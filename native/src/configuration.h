// What ConfigurationOpen and ConfigurationLoadCredential describe: protocols, limits, timeouts, certificate. .NET caches configurations and shares them between connections.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "abi.h"
#include "credential.h"
#include "object.h"

namespace kwik {

// QUIC_SETTINGS as a connection uses them. Durations in nanoseconds, 0 is off; windows in bytes; defaults are MsQuic's.
struct TransportSettings {
    std::uint64_t handshake_timeout = 10'000'000'000;  // From the start to handshake completion.
    std::uint64_t idle_timeout = 30'000'000'000;
    std::uint64_t keep_alive_interval = 0;
    std::uint64_t connection_window = 16 * 1024 * 1024;
    std::uint64_t stream_window_bidi_local = 64 * 1024;   // For streams that we open.
    std::uint64_t stream_window_bidi_remote = 64 * 1024;  // For streams that the peer opens.
    std::uint64_t stream_window_unidi = 64 * 1024;
    std::uint64_t peer_bidi_streams = 0;   // How many the peer may have open.
    std::uint64_t peer_unidi_streams = 0;

    // Reads what IsSet names; `settings` may be null.
    static TransportSettings from_abi(const abi::Settings* settings) noexcept;
};

// Joins protocol names to wire form, one length byte each. INVALID_PARAMETER: not a list that TLS can take, see valid_alpn_list. OUT_OF_MEMORY.
abi::Status read_alpn_list(std::span<const abi::Buffer> buffers, std::vector<std::uint8_t>& out) noexcept;

// Immutable once a credential is loaded. The application closes its reference whenever it likes.
class Configuration final : public Object, public Handle {
public:
    Configuration(std::vector<std::uint8_t> alpn, const TransportSettings& settings) noexcept
        : Handle(Kind::configuration), alpn_list(std::move(alpn)), settings(settings) {}

    // Statuses of Credential::load; NOT_SUPPORTED for a credential type other than NONE and PKCS12; INVALID_STATE if one is loaded.
    abi::Status load_credential(const abi::CredentialConfig& config) noexcept;
    const std::shared_ptr<const Credential>& credential() const noexcept { return credential_; }

    const std::vector<std::uint8_t> alpn_list;
    const TransportSettings settings;

private:
    std::shared_ptr<const Credential> credential_;
};

}  // namespace kwik

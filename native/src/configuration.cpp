#include "configuration.h"

#include <algorithm>
#include <new>

#include "tls.h"

namespace kwik {

TransportSettings TransportSettings::from_abi(const abi::Settings* given) noexcept {
    TransportSettings s;
    if (given == nullptr) return s;
    constexpr std::uint64_t ms = 1'000'000;
    // Far beyond any real timeout, and still small enough to be added to a clock.
    constexpr std::uint64_t longest_ms = 1'000'000'000'000;
    const auto is_set = [given](int bit) { return (given->is_set >> bit & 1) != 0; };
    using B = abi::Settings;
    if (is_set(B::handshake_idle_timeout)) {
        const std::uint64_t given_ms = given->handshake_idle_timeout_ms;
        s.handshake_timeout = (given_ms == 0 ? longest_ms : std::min(given_ms, longest_ms)) * ms;
    }
    if (is_set(B::idle_timeout)) s.idle_timeout = std::min(given->idle_timeout_ms, longest_ms) * ms;
    if (is_set(B::keep_alive_interval)) s.keep_alive_interval = given->keep_alive_interval_ms * ms;
    if (is_set(B::conn_flow_control_window)) s.connection_window = given->conn_flow_control_window_bytes;
    if (is_set(B::stream_window_bidi_local)) s.stream_window_bidi_local = given->stream_window_bidi_local_bytes;
    if (is_set(B::stream_window_bidi_remote)) s.stream_window_bidi_remote = given->stream_window_bidi_remote_bytes;
    if (is_set(B::stream_window_unidi)) s.stream_window_unidi = given->stream_window_unidi_bytes;
    if (is_set(B::peer_bidi)) s.peer_bidi_streams = given->peer_bidi_streams;
    if (is_set(B::peer_unidi)) s.peer_unidi_streams = given->peer_unidi_streams;
    return s;
}

abi::Status read_alpn_list(std::span<const abi::Buffer> buffers, std::vector<std::uint8_t>& out) noexcept {
    if (buffers.empty()) return abi::invalid_parameter;
    try {
        for (const abi::Buffer& name : buffers) {
            if (name.length == 0 || name.length > 255 || name.data == nullptr) return abi::invalid_parameter;
            out.push_back(static_cast<std::uint8_t>(name.length));
            out.insert(out.end(), name.data, name.data + name.length);
        }
    } catch (const std::bad_alloc&) {
        return abi::out_of_memory;
    }
    return valid_alpn_list(out) ? abi::success + 0 : abi::invalid_parameter + 0;
}

abi::Status Configuration::load_credential(const abi::CredentialConfig& config) noexcept {
    if (credential_) return abi::invalid_state;
    CredentialSource source;
    source.flags = config.flags;
    source.allowed_cipher_suites = config.allowed_cipher_suites;
    if (config.type == abi::credential_pkcs12) {
        if (config.pkcs12 == nullptr || config.pkcs12->blob == nullptr || config.pkcs12->blob_length == 0) return abi::invalid_parameter;
        source.pkcs12 = {config.pkcs12->blob, config.pkcs12->blob_length};
        source.password = config.pkcs12->password;
    } else if (config.type != abi::credential_none) {
        return abi::not_supported;
    }
    return static_cast<abi::Status>(Credential::load(source, credential_));
}

}  // namespace kwik

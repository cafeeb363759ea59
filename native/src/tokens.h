// What a server gives out so as to know it again without having kept anything: stateless reset tokens (RFC 9000, 10.3) and the tokens of Retry packets (RFC 9000, 8.1.2).
//
// Both come from keys of the process. The keys are random, so that tokens mean nothing to another process, until the application sets the reset key: a server that is started again with
// the key it had before ends the connections of its former life at their first packet, instead of leaving the clients to their timeouts.
#pragma once

#include <cstdint>
#include <span>

#include "address.h"
#include "quic_api.h"

namespace kwik {

class Tokens {
public:
    static constexpr std::size_t reset_key_length = 32;      // QUIC_STATELESS_RESET_KEY_LENGTH.
    static constexpr std::uint64_t retry_valid_for = 10'000'000'000;  // Nanoseconds; a client answers a Retry at once.

    // Any thread, all of them. ---------------------------------------------------------------------------------------
    // For the ids that are given out from now on, and for the datagrams that are answered from now on.
    static void set_reset_key(std::span<const std::uint8_t, reset_key_length> key) noexcept;
    // The token of an id of ours, the same whenever the key is. Nobody who lacks the key can find it. False: out of memory.
    [[nodiscard]] static bool make_reset_token(const ngtcp2_cid& id, std::uint8_t (&token)[NGTCP2_STATELESS_RESET_TOKENLEN]) noexcept;

    // A Retry packet for the client's first packet `header`, with a token that proves for a while that whoever sends it back gets what is sent to `client`. Returns the part of `out`
    // that was written, empty when there is no memory. `now` in nanoseconds, of the clock of validate_retry.
    [[nodiscard]] static std::span<const std::uint8_t> write_retry(std::span<std::uint8_t> out, const ngtcp2_pkt_hd& header, const Address& client, std::uint64_t now) noexcept;
    // True for a token of a Retry, ours or not; others (of NEW_TOKEN frames, which we never send) are to be ignored (RFC 9000, 8.1.3).
    [[nodiscard]] static bool is_retry(const ngtcp2_pkt_hd& header) noexcept;
    // True and the id that the client chose at first, if the token of `header` is of this process, of this client and not too old.
    [[nodiscard]] static bool validate_retry(const ngtcp2_pkt_hd& header, const Address& client, std::uint64_t now, ngtcp2_cid& original) noexcept;
};

}  // namespace kwik

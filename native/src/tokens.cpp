#include "tokens.h"

#include <algorithm>
#include <array>
#include <mutex>

#include "cid_table.h"
#include "quic_api.h"
#include "random.h"

namespace kwik {

namespace {

using Key = std::array<std::uint8_t, Tokens::reset_key_length>;

Key random_key() noexcept {
    Key key;
    fill_random(key.data(), key.size(), GNUTLS_RND_KEY);
    return key;
}

std::mutex reset_key_mutex;

Key& reset_key() noexcept {  // Under the mutex.
    static Key key = random_key();
    return key;
}

const Key& retry_key() noexcept {
    static const Key key = random_key();
    return key;
}

}  // namespace

void Tokens::set_reset_key(std::span<const std::uint8_t, reset_key_length> key) noexcept {
    std::lock_guard lock(reset_key_mutex);
    std::ranges::copy(key, reset_key().begin());
}

bool Tokens::make_reset_token(const ngtcp2_cid& id, std::uint8_t (&token)[NGTCP2_STATELESS_RESET_TOKENLEN]) noexcept {
    Key key;
    {
        std::lock_guard lock(reset_key_mutex);
        key = reset_key();
    }
    return ngtcp2_crypto_generate_stateless_reset_token(token, key.data(), key.size(), &id) == 0;
}

std::span<const std::uint8_t> Tokens::write_retry(std::span<std::uint8_t> out, const ngtcp2_pkt_hd& header, const Address& client, std::uint64_t now) noexcept {
    // The client's next packet goes to this id. It belongs to nobody yet, and to any worker.
    std::uint8_t bytes[cid_length];
    fill_random(bytes, sizeof bytes);
    ngtcp2_cid source;
    ngtcp2_cid_init(&source, bytes, sizeof bytes);
    std::uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN];
    const ngtcp2_ssize length =
        ngtcp2_crypto_generate_retry_token(token, retry_key().data(), retry_key().size(), header.version, &client.base, client.length(), &source, &header.dcid, now);
    if (length < 0) return {};
    const ngtcp2_ssize written =
        ngtcp2_crypto_write_retry(out.data(), out.size(), header.version, &header.scid, &source, &header.dcid, token, static_cast<std::size_t>(length));
    return written < 0 ? std::span<const std::uint8_t>() : out.first(static_cast<std::size_t>(written));
}

bool Tokens::is_retry(const ngtcp2_pkt_hd& header) noexcept {
    const auto token = token_of(header);
    return !token.empty() && token[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY;
}

bool Tokens::validate_retry(const ngtcp2_pkt_hd& header, const Address& client, std::uint64_t now, ngtcp2_cid& original) noexcept {
    const auto token = token_of(header);
    return is_retry(header) && ngtcp2_crypto_verify_retry_token(&original, token.data(), token.size(), retry_key().data(), retry_key().size(), header.version, &client.base,
                                                                client.length(), &header.dcid, retry_valid_for, now) == 0;
}

}  // namespace kwik

#include "cid_table.h"


#include <cstring>
#include <new>

#include "random.h"

namespace kwik {

bool CidTable::Key::operator==(const Key& other) const noexcept { return length == other.length && std::memcmp(bytes, other.bytes, length) == 0; }

std::uint64_t CidTable::hash(std::span<const std::uint8_t> id) noexcept {
    // Two multiplications over 64-bit halves with random odd keys; ids have at most 20 bytes.
    struct Keys {
        std::uint64_t k[4];
        Keys() noexcept { fill_random(k, sizeof k, GNUTLS_RND_RANDOM); }
    };
    static const Keys keys;
    std::uint64_t words[3] = {};
    std::memcpy(words, id.data(), id.size() < sizeof words ? id.size() : sizeof words);
    const auto mix = [](std::uint64_t a, std::uint64_t b) {
        const __uint128_t product = static_cast<__uint128_t>(a) * b;
        return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    };
    const std::uint64_t h = mix(words[0] ^ keys.k[0], words[1] ^ keys.k[1]) ^ mix(words[2] ^ keys.k[2], id.size() ^ keys.k[3]);
    return mix(h ^ keys.k[1], keys.k[3] | 1);
}

bool CidTable::make_key(std::span<const std::uint8_t> id, Key& key) noexcept {
    if (id.size() > sizeof key.bytes) return false;
    key.length = static_cast<std::uint8_t>(id.size());
    std::memcpy(key.bytes, id.data(), id.size());
    return true;
}

void CidTable::generate(ngtcp2_cid& id) noexcept {
    std::uint8_t bytes[cid_length];
    do fill_random(bytes, sizeof bytes);
    while (worker_of(bytes, workers_) != worker_ || find(bytes) != nullptr);
    ngtcp2_cid_init(&id, bytes, sizeof bytes);
}

bool CidTable::insert(std::span<const std::uint8_t> id, Connection* connection) noexcept {
    Key key;
    if (!make_key(id, key)) return false;
    try {
        return map_.emplace(key, connection).first->second == connection;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

void CidTable::erase(std::span<const std::uint8_t> id) noexcept {
    Key key;
    if (make_key(id, key)) map_.erase(key);
}

Connection* CidTable::find(std::span<const std::uint8_t> id) const noexcept {
    Key key;
    if (!make_key(id, key)) return nullptr;
    const auto it = map_.find(key);
    return it == map_.end() ? nullptr : it->second;
}

}  // namespace kwik

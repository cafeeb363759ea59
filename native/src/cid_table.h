// Connection ids: how they are made, which worker they belong to, and which connection of that worker.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>

#include "quic_api.h"

namespace kwik {

class Connection;

// Length of the ids that we give out.
inline constexpr std::size_t cid_length = 12;

// One rule routes every datagram of a shared socket: a connection id belongs to worker hash(id) % workers. The client's first random id chooses the worker, and the ids that this worker
// then gives out are drawn until they fall on itself. So no table is shared between threads, and the worker that reads the socket needs only the bytes of the datagram.
// The hash is keyed by process-wide random numbers, so that nobody outside can load one worker on purpose.
class CidTable {
public:
    CidTable(unsigned worker, unsigned workers) noexcept : worker_(worker), workers_(workers) {}

    static std::uint64_t hash(std::span<const std::uint8_t> id) noexcept;
    static unsigned worker_of(std::span<const std::uint8_t> id, unsigned workers) noexcept { return static_cast<unsigned>(hash(id) % workers); }

    // A new random id that is not in the table and belongs to this worker.
    void generate(ngtcp2_cid& id) noexcept;
    // False: out of memory, or the id is another connection's.
    [[nodiscard]] bool insert(std::span<const std::uint8_t> id, Connection* connection) noexcept;
    void erase(std::span<const std::uint8_t> id) noexcept;
    Connection* find(std::span<const std::uint8_t> id) const noexcept;
    std::size_t size() const noexcept { return map_.size(); }

private:
    struct Key { std::uint8_t length; std::uint8_t bytes[NGTCP2_MAX_CIDLEN]; bool operator==(const Key& other) const noexcept; };
    struct KeyHash { std::size_t operator()(const Key& key) const noexcept { return hash({key.bytes, key.length}); } };
    static bool make_key(std::span<const std::uint8_t> id, Key& key) noexcept;

    const unsigned worker_;
    const unsigned workers_;
    std::unordered_map<Key, Connection*, KeyHash> map_;
};

}  // namespace kwik

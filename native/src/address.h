// Socket addresses and their ABI form, QUIC_ADDR: the first 28 bytes of a sockaddr_in or sockaddr_in6.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>

#include "abi.h"

namespace kwik {

// IPv4, IPv6, or unspecified (family 0).
struct Address {
    union {
        sockaddr base;
        sockaddr_in v4;
        sockaddr_in6 v6;
    };

    Address() noexcept { std::memset(static_cast<void*>(this), 0, sizeof *this); }

    // From a QUIC_ADDR, which is 28 readable bytes.
    static Address from_abi(const void* source) noexcept {
        Address a;
        std::memcpy(static_cast<void*>(&a), source, abi::address_size);
        return a;
    }
    // A mapped IPv4 address (::ffff:a.b.c.d) is shown as IPv4, as MsQuic does. `target` has 28 bytes.
    void to_abi(void* target) const noexcept {
        const Address shown = unmapped();
        std::memcpy(target, static_cast<const void*>(&shown), abi::address_size);
    }

    sa_family_t family() const noexcept { return base.sa_family; }
    socklen_t length() const noexcept { return family() == AF_INET ? sizeof v4 : sizeof v6; }
    std::uint16_t port() const noexcept { return ntohs(family() == AF_INET ? v4.sin_port : v6.sin6_port); }
    void set_port(std::uint16_t port) noexcept { (family() == AF_INET ? v4.sin_port : v6.sin6_port) = htons(port); }
    bool is_wildcard() const noexcept {
        return family() == AF_UNSPEC || (family() == AF_INET ? v4.sin_addr.s_addr == INADDR_ANY : std::memcmp(&v6.sin6_addr, &in6addr_any, sizeof in6addr_any) == 0);
    }
    Address unmapped() const noexcept {
        if (family() != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return *this;
        Address a;
        a.v4.sin_family = AF_INET;
        a.v4.sin_port = v6.sin6_port;
        std::memcpy(&a.v4.sin_addr, &v6.sin6_addr.s6_addr[12], 4);
        return a;
    }
    Address mapped() const noexcept {
        if (family() != AF_INET) return *this;
        Address a;
        a.v6.sin6_family = AF_INET6;
        a.v6.sin6_port = v4.sin_port;
        a.v6.sin6_addr.s6_addr[10] = a.v6.sin6_addr.s6_addr[11] = 0xff;
        std::memcpy(&a.v6.sin6_addr.s6_addr[12], &v4.sin_addr, 4);
        return a;
    }
    friend bool operator==(const Address& a, const Address& b) noexcept { return std::memcmp(static_cast<const void*>(&a), static_cast<const void*>(&b), sizeof a) == 0; }
};
static_assert(sizeof(Address) == abi::address_size);

}  // namespace kwik

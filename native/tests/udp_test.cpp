#include "udp.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <cerrno>
#include <string>
#include <vector>

namespace kwik {
namespace {

Address loopback(sa_family_t family, std::uint16_t port = 0) {
    Address a;
    a.base.sa_family = family;
    if (family == AF_INET) a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else a.v6.sin6_addr = in6addr_loopback;
    a.set_port(port);
    return a;
}

int receive(UdpSocket& socket, ReceivedBatch& batch) {
    pollfd waiting{socket.fd(), POLLIN, 0};
    if (poll(&waiting, 1, 5000) != 1) return ETIMEDOUT;
    return socket.receive(batch);
}

std::string text_of(const ReceivedBatch& batch) { return {reinterpret_cast<char*>(batch.memory.get()), batch.length}; }

TEST(Udp, Send_BatchOfSegments_ArrivesAsDatagramsOfThatSize) {
    for (const sa_family_t family : {sa_family_t{AF_INET}, sa_family_t{AF_INET6}}) {
        UdpSocket server, client;
        ASSERT_EQ(server.bind(loopback(family)), 0);
        ASSERT_EQ(client.connect({}, server.local()), 0);
        std::vector<std::uint8_t> bytes(1200 * 20 + 77);
        for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i / 1200);
        ASSERT_EQ(client.send(bytes, 1200, {}, {}), 0);
        std::vector<std::uint8_t> received;
        ReceivedBatch batch;
        while (received.size() < bytes.size()) {
            ASSERT_EQ(receive(server, batch), 0);
            EXPECT_TRUE(batch.segment_size == 1200 || batch.segment_size == 77);
            EXPECT_EQ(batch.remote, client.local());
            EXPECT_EQ(batch.local, server.local());
            received.insert(received.end(), batch.memory.get(), batch.memory.get() + batch.length);
        }
        EXPECT_EQ(received, bytes);
        EXPECT_EQ(server.receive(batch), EAGAIN);
    }
}

// Whom to answer is a stranger's choice; what the kernel does not take for its sake says nothing of the device.
TEST(Udp, Send_BatchToAnAddressThatCannotBe_LeavesBatchesToOthersAsTheyAre) {
    UdpSocket server, other;
    ASSERT_EQ(server.bind(loopback(AF_INET)), 0);
    ASSERT_EQ(other.bind(loopback(AF_INET)), 0);
    const std::vector<std::uint8_t> bytes(1200 * 10);
    EXPECT_EQ(server.send(bytes, 1200, server.local(), loopback(AF_INET, 0)), EINVAL);
    ASSERT_EQ(server.send(bytes, 1200, server.local(), other.local()), 0);
    ReceivedBatch batch;
    ASSERT_EQ(receive(other, batch), 0);
    EXPECT_GT(batch.length, batch.segment_size);
}

TEST(Udp, Wildcard_DualStack_KnowsAndKeepsTheAddressThatWasAsked) {
    UdpSocket server;
    ASSERT_EQ(server.bind({}), 0);
    for (const sa_family_t family : {sa_family_t{AF_INET}, sa_family_t{AF_INET6}}) {
        UdpSocket client;
        ASSERT_EQ(client.connect({}, loopback(family, server.local().port())), 0);
        const std::uint8_t question[] = {'?'}, answer[] = {'!'};
        ASSERT_EQ(client.send(question, 1, {}, {}), 0);
        ReceivedBatch batch;
        ASSERT_EQ(receive(server, batch), 0);
        EXPECT_EQ(batch.local.unmapped(), loopback(family, server.local().port()));
        // A connected socket takes the answer only if it comes from the address that it asked.
        ASSERT_EQ(server.send(answer, 1, batch.local, batch.remote), 0);
        ReceivedBatch reply;
        ASSERT_EQ(receive(client, reply), 0);
        EXPECT_EQ(text_of(reply), "!");
    }
}

TEST(Udp, Send_NobodyListens_ReportsTheIcmpError) {
    std::uint16_t port;
    {
        UdpSocket gone;
        ASSERT_EQ(gone.bind(loopback(AF_INET)), 0);
        port = gone.local().port();
    }
    UdpSocket client;
    ASSERT_EQ(client.connect({}, loopback(AF_INET, port)), 0);
    const std::uint8_t byte[] = {1};
    ASSERT_EQ(client.send(byte, 1, {}, {}), 0);
    ReceivedBatch batch;
    EXPECT_EQ(receive(client, batch), ECONNREFUSED);
}

TEST(Udp, Bind_PortInUse_IsAnError) {
    UdpSocket one, two;
    ASSERT_EQ(one.bind(loopback(AF_INET)), 0);
    EXPECT_EQ(two.bind(one.local()), EADDRINUSE);
    EXPECT_LT(two.fd(), 0);
}

TEST(Udp, Address_AbiForm_ShowsMappedAddressesAsIpv4) {
    const Address plain = loopback(AF_INET, 4433);
    std::uint8_t shown[abi::address_size];
    plain.mapped().to_abi(shown);
    EXPECT_EQ(Address::from_abi(shown), plain);
    EXPECT_EQ(plain.mapped().unmapped(), plain);
    EXPECT_TRUE(Address().is_wildcard());
    EXPECT_FALSE(plain.is_wildcard());
}

}  // namespace
}  // namespace kwik

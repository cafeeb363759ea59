#include "end_cause.h"

#include <gtest/gtest.h>

#include "quic_api.h"

namespace kwik {
namespace {

TEST(EndCause, TransportErrors_OfThePeer_BecomeTheStatusesDotNetKnows) {
    EXPECT_EQ(EndCause::peer_transport(0x2).status, abi::connection_refused);
    EXPECT_EQ(EndCause::peer_transport(0xc).status, abi::user_canceled);
    EXPECT_EQ(EndCause::peer_transport(0x15a).status, abi::user_canceled);
    EXPECT_EQ(EndCause::peer_transport(0x178).status, abi::alpn_neg_failure);
    EXPECT_EQ(EndCause::peer_transport(0x128).status, abi::handshake_failure);
    EXPECT_EQ(EndCause::peer_transport(0x12a).status, 0xBEBC300 + 42);
    EXPECT_EQ(EndCause::peer_transport(0xa).status, abi::protocol_error);
    EXPECT_EQ(EndCause::peer_transport(0).status, abi::success);
}

TEST(EndCause, OwnErrors_BecomeStatusAndCode) {
    const EndCause idle = EndCause::library_error(NGTCP2_ERR_IDLE_CLOSE);
    EXPECT_EQ(idle.status, abi::connection_idle);
    EXPECT_EQ(idle.error, 1u);
    EXPECT_TRUE(idle.silent);
    EXPECT_EQ(EndCause::library_error(NGTCP2_ERR_HANDSHAKE_TIMEOUT).status, abi::connection_timeout);
    const EndCause flow = EndCause::library_error(NGTCP2_ERR_FLOW_CONTROL);
    EXPECT_EQ(flow.status, abi::protocol_error);
    EXPECT_EQ(flow.error, 3u);
    EXPECT_FALSE(flow.silent);
    EXPECT_EQ(EndCause::tls_alert(120).error, 0x178u);
    EXPECT_EQ(EndCause::tls_alert(120).status, abi::alpn_neg_failure);
}

TEST(EndCause, Applications_KeepTheirCodes) {
    EXPECT_TRUE(EndCause::shutdown(7, true).silent);
    EXPECT_TRUE(EndCause::shutdown(7, false).by_app);
    const EndCause peer = EndCause::peer_application(7);
    EXPECT_TRUE(peer.by_app && peer.remote);
    EXPECT_EQ(peer.error, 7u);
}

}  // namespace
}  // namespace kwik

#include "cid_table.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace kwik {
namespace {

std::span<const std::uint8_t> bytes(const ngtcp2_cid& id) { return {id.data, id.datalen}; }

TEST(CidTable, Generate_Ids_BelongToTheirWorkerAndDiffer) {
    for (unsigned worker = 0; worker < 3; ++worker) {
        CidTable table(worker, 3);
        std::set<std::vector<std::uint8_t>> seen;
        for (int i = 0; i < 200; ++i) {
            ngtcp2_cid id;
            table.generate(id);
            EXPECT_EQ(id.datalen, cid_length);
            EXPECT_EQ(CidTable::worker_of(bytes(id), 3), worker);
            seen.insert({id.data, id.data + id.datalen});
        }
        EXPECT_EQ(seen.size(), 200u);
    }
}

TEST(CidTable, Hash_RandomIds_SpreadOverTheWorkers) {
    CidTable source(0, 1);
    int counts[8] = {};
    for (int i = 0; i < 8000; ++i) {
        ngtcp2_cid id;
        source.generate(id);
        ++counts[CidTable::worker_of(bytes(id), 8)];
    }
    for (const int count : counts) EXPECT_NEAR(count, 1000, 250);
}

TEST(CidTable, Insert_FindErase_KnowsTheConnection) {
    CidTable table(0, 1);
    auto* one = reinterpret_cast<Connection*>(0x10);
    auto* two = reinterpret_cast<Connection*>(0x20);
    ngtcp2_cid id;
    table.generate(id);
    EXPECT_EQ(table.find(bytes(id)), nullptr);
    EXPECT_TRUE(table.insert(bytes(id), one));
    EXPECT_FALSE(table.insert(bytes(id), two));
    EXPECT_EQ(table.find(bytes(id)), one);
    EXPECT_EQ(table.find(bytes(id).first(cid_length - 1)), nullptr);
    table.erase(bytes(id));
    EXPECT_EQ(table.find(bytes(id)), nullptr);
    EXPECT_EQ(table.size(), 0u);
}

TEST(CidTable, Find_TooLongId_IsUnknown) {
    CidTable table(0, 1);
    const std::vector<std::uint8_t> longest(255, 1);
    EXPECT_EQ(table.find(longest), nullptr);
    EXPECT_FALSE(table.insert(longest, nullptr));
    EXPECT_LT(CidTable::worker_of(longest, 4), 4u);
}

}  // namespace
}  // namespace kwik

#include "buffer_pool.h"

#include <gtest/gtest.h>

#include <cstring>

namespace kwik {
namespace {

TEST(BufferPool, Take_SmallSizes_AreExactAndNotPooled) {
    const std::size_t before = BufferPool::idle_chunks();
    {
        const auto chunk = BufferPool::take(100);
        ASSERT_TRUE(chunk);
        EXPECT_EQ(chunk.get_deleter().capacity, 100u);
    }
    EXPECT_EQ(BufferPool::idle_chunks(), before);
}

TEST(BufferPool, Take_LargeSizes_AreUsedAgain) {
    std::uint8_t* address;
    {
        const auto chunk = BufferPool::take(BufferPool::chunk_size);
        EXPECT_EQ(chunk.get_deleter().capacity, BufferPool::chunk_size);
        std::memset(chunk.get(), 1, BufferPool::chunk_size);
        address = chunk.get();
    }
    EXPECT_EQ(BufferPool::idle_chunks(), 1u);
    EXPECT_EQ(BufferPool::take(BufferPool::chunk_size / 2 + 1).get(), address);
}

TEST(BufferPool, Return_MoreThanItKeeps_GivesTheRestBackToTheSystem) {
    std::vector<BufferPool::Chunk> chunks;
    for (std::size_t i = 0; i < BufferPool::max_idle_chunks + 10; ++i) chunks.push_back(BufferPool::take(BufferPool::chunk_size));
    chunks.clear();
    EXPECT_EQ(BufferPool::idle_chunks(), BufferPool::max_idle_chunks);
}

}  // namespace
}  // namespace kwik

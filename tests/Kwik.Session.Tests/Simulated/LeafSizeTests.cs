using Kwik.Data;
using Kwik.Testing;
using LeafHashes = Kwik.Data.LeafHashes;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Contents at the limits of what leaves and pieces of hashes hold, from three servers one of which is killed.</summary>
public sealed class LeafSizeTests
{
    private const int Smallest = ContentHasher.MinLeafSize;
    private const int Largest = 4 * 1024 * 1024;
    private static readonly Dictionary<(int, int), MemoryContent> Contents = new (int Length, int LeafSize)[]
    {
        (1, Smallest),
        (Smallest, Smallest),
        (Smallest + 1, Smallest),
        (((LeafHashes.MaxCount + 1) * Smallest), Smallest),
        (1, Largest),
        (Largest, Largest),
        (Largest + 1, Largest),
    }.ToDictionary(size => size, size => MemoryContent.Random(size.Length, size.Length, size.LeafSize));

    [Theory]
    [SimulationSeeds]
    public void OneByte_InASmallLeaf_IsWhole(int seed) => Deliver(seed, 1, Smallest);

    [Theory]
    [SimulationSeeds]
    public void OneSmallLeaf_IsWhole(int seed) => Deliver(seed, Smallest, Smallest);

    [Theory]
    [SimulationSeeds]
    public void OneSmallLeafAndAByte_IsWhole(int seed) => Deliver(seed, Smallest + 1, Smallest);

    /// <summary>The second piece of hashes proves one leaf.</summary>
    [Theory]
    [SimulationSeeds]
    public void TwoPiecesOfHashes_AreWhole(int seed) =>
        Deliver(seed, (LeafHashes.MaxCount + 1) * Smallest, Smallest, bitsPerSecond: 100_000_000, pieces: 2);

    [Theory]
    [SimulationSeeds]
    public void OneByte_InALargeLeaf_IsWhole(int seed) => Deliver(seed, 1, Largest);

    [Theory]
    [SimulationSeeds]
    public void OneLargeLeaf_IsWhole(int seed) => Deliver(seed, Largest, Largest);

    [Theory]
    [SimulationSeeds]
    public void OneLargeLeafAndAByte_IsWhole(int seed) => Deliver(seed, Largest + 1, Largest);

    private static void Deliver(int seed, int length, int leafSize, long bitsPerSecond = 20_000_000, int pieces = 1)
    {
        MemoryContent content = Contents[(length, leafSize)];
        List<ScriptedContent> servers = [];
        SceneServer server = new(host =>
        {
            servers.Add(new ScriptedContent(content, host));
            return servers[^1];
        });
        DeliveryScene.Run(
            seed,
            content,
            [server, server, server],
            async scene =>
            {
                Task reading = scene.ReadAllAsync(positioned: seed % 2 == 0);
                await scene.World.Delay(TimeSpan.FromMilliseconds(scene.World.Random.Next(0, 200)));
                scene.Host(1 + (seed % 2)).Kill();
                await reading;
                // Of one leaf the root is the hash.
                Assert.InRange(servers.Sum(one => one.HashRequests), length > leafSize ? pieces : 0, length > leafSize ? 2 * pieces : 0);
            },
            bitsPerSecond);
    }
}

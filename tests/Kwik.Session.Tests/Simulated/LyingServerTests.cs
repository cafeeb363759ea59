using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using LeafHashes = Kwik.Data.LeafHashes;

namespace Kwik.Session.Tests.Simulated;

/// <summary>
/// Servers of ours whose content, or whose proofs, are not those of the offer: each is found out by its first wrong leaf, named,
/// and asked for nothing any more; nobody else is blamed, and what arrives is right.
/// </summary>
public sealed class LyingServerTests
{
    private const int LeafSize = 64 * 1024;

    // 33 leaves, the last of them short.
    private static readonly MemoryContent Content = MemoryContent.Random(5, (32 * LeafSize) + 1000, LeafSize);
    private const int LastLeaf = 32;

    [Theory]
    [SimulationSeeds]
    public void OneByteOfOneLeaf_IsFoundOut(int seed) => LiarAmongThree(seed, host => new(Content, host)
    {
        Lies = (_, ordinal) => ordinal == seed % 4,
        Change = (_, offset, bytes) => Flip(bytes, offset, seed * 977 % LeafSize),
    });

    [Theory]
    [SimulationSeeds]
    public void OneByteOfEveryLeaf_IsFoundOut(int seed) => LiarAmongThree(seed, host => new(Content, host) { Lies = (_, _) => true });

    [Theory]
    [SimulationSeeds]
    public void BytesOfAnotherLeaf_AreFoundOut(int seed) => LiarAmongThree(seed, host => new(Content, host)
    {
        Lies = (_, _) => true,
        Change = (leaf, offset, bytes) => Content.Slice(((leaf + 1) % LastLeaf * LeafSize) + offset, bytes.Length).CopyTo(bytes),
    });

    /// <summary>The last leaf is a short one. The other server does not send it before the liar was asked for it, too.</summary>
    [Theory]
    [SimulationSeeds]
    public void LastLeafOnly_IsFoundOut(int seed)
    {
        ScriptedContent? liar = null;
        var servers = new Servers(
            null,
            host => liar = new(Content, host)
            {
                Lies = (leaf, _) => leaf == LastLeaf,
                Change = (_, offset, bytes) => Flip(bytes, offset, seed % 1000),
            },
            host => new(Content, host)
            {
                Await = async (leaf, stopping) =>
                {
                    while (leaf == LastLeaf && liar?.BadLeaves.Count == 0)
                    {
                        await Task.Delay(TimeSpan.FromMilliseconds(1), host.Time, stopping);
                    }
                },
            });
        DeliveryScene.Run(seed, Content, servers.List, async scene =>
        {
            await scene.ReadAllAsync(IsPositioned(seed));
            await FoundOutAsync(scene, servers, 1);
            NotBlamed(scene, 2);
        });
    }

    [Theory]
    [SimulationSeeds]
    public void OnlyLeafOfAShortContent_IsFoundOut(int seed)
    {
        MemoryContent content = MemoryContent.Random(seed, 1 + (seed * 331 % LeafSize), LeafSize);
        var servers = new Servers(host => new(content, host) { Lies = (_, _) => true }, host => new(content, host));
        DeliveryScene.Run(seed, content, servers.List, async scene =>
        {
            await scene.ReadAllAsync(IsPositioned(seed));
            await FoundOutAsync(scene, servers, 0);
            NotBlamed(scene, 1);
        });
    }

    /// <summary>Leaves that came before what proves them: when it comes, several of one server are found to be wrong at once.</summary>
    [Theory]
    [SimulationSeeds]
    public void LeavesThatAreProvenLate_AreOneFault(int seed)
    {
        var servers = new Servers(
            null,
            host => new(Content, host) { Lies = (_, _) => true, ChangeHashes = (hashes, stopping) => WithholdAsync(host, hashes, stopping) },
            Honest);
        DeliveryScene.Run(seed, Content, servers.List, async scene =>
        {
            await scene.ReadAllAsync(IsPositioned(seed));
            await FoundOutAsync(scene, servers, 1);
            NotBlamed(scene, 2);
        });
    }

    [Theory]
    [SimulationSeeds]
    public void BadLeafOfEachServerInTurn_IsFoundOut(int seed)
    {
        for (int liar = 0; liar < 3; liar++)
        {
            LiarAmongThree(seed, host => new(Content, host) { Lies = (_, ordinal) => ordinal == seed % 4 }, path: liar);
        }
    }

    [Theory]
    [SimulationSeeds]
    public void BothSecondaries_EachInItsWay_AreFoundOut(int seed)
    {
        var servers = new Servers(
            Honest,
            host => new(Content, host) { Lies = (_, ordinal) => ordinal >= seed % 3 },
            host => new(Content, host) { Lies = (_, ordinal) => ordinal >= seed % 4, Change = (_, _, bytes) => bytes.Span.Clear() });
        DeliveryScene.Run(seed, Content, servers.List, async scene =>
        {
            await scene.ReadAllAsync(IsPositioned(seed));
            await FoundOutAsync(scene, servers, 1);
            await FoundOutAsync(scene, servers, 2);
            NotBlamed(scene, 0);
        });
    }

    /// <summary>A session without its primary is none: it is not asked for this content any more, and that is all.</summary>
    [Theory]
    [SimulationSeeds]
    public void PrimaryInOneLeaf_IsAskedNoMoreAndKeepsItsSession(int seed)
    {
        var servers = new Servers(host => new(Content, host) { Lies = (_, ordinal) => ordinal == seed % 4 }, Honest);
        DeliveryScene.Run(seed, Content, servers.List, async scene =>
        {
            await scene.ReadAllAsync(IsPositioned(seed));
            await FoundOutAsync(scene, servers, 0);
            NotBlamed(scene, 1);
            await using KwikStream another = await scene.Session.OpenStreamSync();
            await another.WriteAsync(new byte[1]);
        });
    }

    [Theory]
    [SimulationSeeds]
    public void OnlyServer_ThatLies_FailsTheStreamBehindARightPrefix(int seed)
    {
        var servers = new Servers(host => new(Content, host) { Lies = (_, ordinal) => ordinal == seed % 33 });
        DeliveryScene.Run(seed, Content, servers.List, async scene =>
        {
            KwikException? fault = await scene.ReadAsync(IsPositioned(seed));
            Assert.Equal((KwikError.ContentMismatch, 0, scene.Stream.Id), (fault?.Code, fault?.PathId, fault?.StreamId));
            await FoundOutAsync(scene, servers, 0);
            long bad = servers[0].BadLeaves.Single();
            Assert.InRange(scene.Count, 0, IsPositioned(seed) ? Content.Offer.Length - 1 : bad * LeafSize);
        });
    }

    [Theory]
    [SimulationSeeds]
    public void OnlySecondary_WhosePrimaryHasNothing_FailsTheStreamBehindARightPrefix(int seed)
    {
        var servers = new Servers(null, host => new(Content, host) { Lies = (_, ordinal) => ordinal == seed % 33 });
        DeliveryScene.Run(seed, Content, servers.List, async scene =>
        {
            KwikException? fault = await scene.ReadAsync(IsPositioned(seed));
            Assert.Equal((KwikError.ContentMismatch, 1, scene.Stream.Id), (fault?.Code, fault?.PathId, fault?.StreamId));
            await FoundOutAsync(scene, servers, 1);
        });
    }

    [Theory]
    [SimulationSeeds]
    public void WrongHashes_AreFoundOut(int seed) => LiarWithHashes(seed, (hashes, _) => new(hashes with
    {
        Hashes = Flipped(hashes.Hashes, seed),
    }));

    [Theory]
    [SimulationSeeds]
    public void TooFewHashes_AreFoundOut(int seed) => LiarWithHashes(seed, (hashes, _) => new(hashes with
    {
        Hashes = hashes.Hashes[..(seed % hashes.Hashes.Length)],
    }));

    [Theory]
    [SimulationSeeds]
    public void WrongProof_IsFoundOut(int seed) => LiarWithHashes(seed, (hashes, _) => new(hashes with
    {
        Proof = new byte[ContentRoot.Size * (1 + (seed % 3))],
    }));

    /// <summary>Right hashes, with a right proof, of other leaves than were asked for.</summary>
    [Fact]
    public void HashesOfAnotherPiece_AreFoundOut()
    {
        const int leaf = ContentHasher.MinLeafSize;
        MemoryContent content = MemoryContent.Random(6, (LeafHashes.MaxCount * leaf * 2) + 1, leaf);
        var servers = new Servers(
            null,
            host => new(content, host) { ChangeHashes = (hashes, _) => new(content.HashesAt((hashes.FirstLeaf + LeafHashes.MaxCount) % (2 * LeafHashes.MaxCount))) },
            host => new(content, host));
        DeliveryScene.Run(
            1,
            content,
            servers.List,
            async scene =>
            {
                await scene.ReadAllAsync();
                await FoundOutAsync(scene, servers, 1, withWrongHashes: true);
                NotBlamed(scene, 2);
            },
            bitsPerSecond: 100_000_000);
    }

    /// <summary>A server that has no hashes to show is no liar: others are asked, and it goes on to send what it has.</summary>
    [Theory]
    [SimulationSeeds]
    public void HashesThatNeverCome_AreAskedOfOthersInTime(int seed)
    {
        var servers = new Servers(null, Mute, Honest);
        DeliveryScene.Run(seed, Content, servers.List, async scene =>
        {
            TimeSpan began = scene.World.Time.Elapsed;
            await scene.ReadAllAsync(IsPositioned(seed));
            // 250 ms and a few round trips, and half of the time that one of them would need alone.
            Assert.InRange((scene.World.Time.Elapsed - began).TotalSeconds, 0.25, 1.5);
            Assert.Equal(1, servers[2].HashRequests);
            NotBlamed(scene, 1);
            NotBlamed(scene, 2);
            Assert.NotEqual(0, scene.Path(1).BytesReceived);
        });
    }

    /// <summary>Two of three keep their hashes to themselves; each is asked in turn, with more patience.</summary>
    [Theory]
    [SimulationSeeds]
    public void HashesThatOnlyTheLastServerHas_AreFound(int seed)
    {
        var servers = new Servers(Mute, Mute, Honest);
        DeliveryScene.Run(seed, Content, servers.List, async scene =>
        {
            TimeSpan began = scene.World.Time.Elapsed;
            await scene.ReadAllAsync(IsPositioned(seed));
            Assert.InRange((scene.World.Time.Elapsed - began).TotalSeconds, 0.75, 2.5);
            Assert.All(Enumerable.Range(0, 3), path => NotBlamed(scene, path));
        });
    }

    private static ScriptedContent Honest(SimulatedHost host) => new(Content, host);

    private static ScriptedContent Mute(SimulatedHost host) => new(Content, host)
    {
        ChangeHashes = (hashes, stopping) => WithholdAsync(host, hashes, stopping),
    };

    private static async ValueTask<LeafHashes> WithholdAsync(SimulatedHost host, LeafHashes hashes, CancellationToken stopping)
    {
        await Task.Delay(Timeout.InfiniteTimeSpan, host.Time, stopping);
        return hashes;
    }

    private static bool IsPositioned(int seed) => seed % 2 == 0;

    private static void Flip(Memory<byte> bytes, long offset, long at)
    {
        if (at >= offset && at < offset + bytes.Length)
        {
            bytes.Span[(int)(at - offset)] ^= 0x80;
        }
    }

    private static byte[] Flipped(ReadOnlyMemory<byte> bytes, int at)
    {
        byte[] changed = bytes.ToArray();
        changed[at % changed.Length] ^= 1;
        return changed;
    }

    private static void LiarAmongThree(int seed, Func<SimulatedHost, ScriptedContent> liar, int path = 1)
    {
        var all = new Func<SimulatedHost, ScriptedContent>[] { Honest, Honest, Honest };
        all[path] = liar;
        var servers = new Servers(all);
        DeliveryScene.Run(seed, Content, servers.List, async scene =>
        {
            await scene.ReadAllAsync(IsPositioned(seed));
            await FoundOutAsync(scene, servers, path);
            Assert.All(Enumerable.Range(0, 3).Where(other => other != path), other => NotBlamed(scene, other));
        });
    }

    /// <summary>The liar is the first that is asked for hashes: the primary has none of the content.</summary>
    private static void LiarWithHashes(int seed, Func<LeafHashes, CancellationToken, ValueTask<LeafHashes>> change)
    {
        var servers = new Servers(null, host => new(Content, host) { ChangeHashes = change }, Honest);
        DeliveryScene.Run(seed, Content, servers.List, async scene =>
        {
            await scene.ReadAllAsync(IsPositioned(seed));
            await FoundOutAsync(scene, servers, 1, withWrongHashes: true);
            NotBlamed(scene, 2);
        });
    }

    /// <summary>A server was named for the first leaf that it sent wrong, and asked for nothing since.</summary>
    private static async Task FoundOutAsync(DeliveryScene scene, Servers servers, int path, bool withWrongHashes = false)
    {
        RuleBroken broken = Assert.Single(scene.Happened().OfType<RuleBroken>(), broken => broken.PathId == path);
        Assert.Equal(KwikError.ContentMismatch, broken.Error);
        FaultTreated treated = Assert.Single(scene.Happened().OfType<FaultTreated>(), treated => treated.PathId == path);
        Assert.Equal((KwikError.ContentMismatch, scene.Stream.Id), (treated.Error, treated.StreamId));
        if (withWrongHashes)
        {
            Assert.Contains("leaf hashes", broken.Reason, StringComparison.Ordinal);
        }
        else
        {
            Assert.Contains(servers[path].BadLeaves, leaf => broken.Reason.Contains(
                $"from {leaf * LeafSize} to {Math.Min((leaf + 1) * LeafSize, scene.Content.Offer.Length)} ", StringComparison.Ordinal));
        }

        if (path == 0)
        {
            Assert.Equal(RecoveryAction.RequestRetransmission, treated.Action);
            Assert.Equal(PathState.Active, scene.Path(0).State);
            return;
        }

        await scene.UntilAsync(() => scene.Path(path).State == PathState.Removed);
        Assert.Equal(RecoveryAction.IsolateSource, treated.Action);
        SourceIsolated isolated = Assert.Single(scene.Told().OfType<SourceIsolated>(), isolated => isolated.PathId == path);
        Assert.Equal(KwikError.ContentMismatch, isolated.Error);
        Assert.Equal(PathState.Removed, scene.Path(path).State);
        // What was on its way to it when it was isolated needs 5 ms to be there.
        Assert.InRange(servers[path].LastAsked, DateTimeOffset.MinValue, scene.Path(path).Since + TimeSpan.FromMilliseconds(6));
    }

    private static void NotBlamed(DeliveryScene scene, int path)
    {
        Assert.DoesNotContain(scene.Happened().OfType<RuleBroken>(), broken => broken.PathId == path);
        Assert.DoesNotContain(scene.Happened().OfType<FaultTreated>(), treated => treated.PathId == path);
        Assert.DoesNotContain(scene.Told().OfType<SourceIsolated>(), isolated => isolated.PathId == path);
        Assert.Equal(PathState.Active, scene.Path(path).State);
    }

    /// <summary>The primary and the secondaries; null: the primary has nothing.</summary>
    private sealed class Servers(params Func<SimulatedHost, ScriptedContent>?[] servers)
    {
        private readonly ScriptedContent?[] _contents = new ScriptedContent?[servers.Length];

        public ScriptedContent this[int path] => _contents[path]!;

        public IReadOnlyList<SceneServer> List => [.. servers.Select((make, path) => make is null
            ? SceneServer.Nothing
            : new SceneServer(host => _contents[path] = make(host)))];
    }
}

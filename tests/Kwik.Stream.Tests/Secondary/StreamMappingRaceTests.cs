using Kwik.Data;

namespace Kwik.Streams.Tests;

public sealed class StreamMappingRaceTests
{
    private const int Rounds = 2000;

    private readonly StreamMappingManager _mappings = new();

    [Fact]
    public async Task TryMapRacingTryMap_TwoTargets_OneWinsAndOneIsAConflict()
    {
        InboundSecondaryStream source = Inbound.Create(1, 0);
        bool rivalWon = false;
        bool sideWon = false;
        await Race.RunAsync(
            Rounds,
            prepare: round => source = Inbound.Create(1, round),
            rival: _ => rivalWon = _mappings.TryMap(source, 4),
            side: _ =>
            {
                sideWon = _mappings.TryMap(source, 8);
                return Task.CompletedTask;
            },
            check: round =>
            {
                Assert.NotEqual(rivalWon, sideWon);
                Assert.Equal(round, _mappings.Conflicts);
                Assert.Equal(rivalWon ? 4 : 8, _mappings.FindTarget(source.Id));
                Assert.Equal(rivalWon ? [source] : [], _mappings.SourcesOf(4));
                Assert.Equal(sideWon ? [source] : [], _mappings.SourcesOf(8));
                Assert.True(_mappings.Unmap(source));
                return Task.CompletedTask;
            });
        Assert.Empty(_mappings.Mapped());
    }

    [Fact]
    public async Task UnmapRacingTryMap_OfOneTarget_LosesNeither()
    {
        InboundSecondaryStream old = Inbound.Create(1, -1);
        InboundSecondaryStream young = Inbound.Create(1, 0);
        Assert.True(_mappings.TryMap(young, 4));
        await Race.RunAsync(
            Rounds,
            prepare: round => (old, young) = (young, Inbound.Create(1, round)),
            rival: _ => Assert.True(_mappings.Unmap(old)),
            side: _ =>
            {
                Assert.True(_mappings.TryMap(young, 4));
                return Task.CompletedTask;
            },
            check: _ =>
            {
                Assert.Equal([young], _mappings.SourcesOf(4));
                return Task.CompletedTask;
            });
    }

    [Fact]
    public async Task TryResolveRacingForget_OneRequest_OneOfThemHasIt()
    {
        await using var peer = new RawPeer();
        var mapping = new StreamMapping(1, 0, peer.Stream, 0, 10, new UncheckedReceiver(1, peer.Stream));
        bool forgotten = false;
        bool resolved = false;
        await Race.RunAsync(
            Rounds,
            prepare: round => _mappings.Expect(mapping = new StreamMapping(1, round, peer.Stream, 0, 10, new UncheckedReceiver(1, peer.Stream))),
            rival: _ => forgotten = _mappings.Forget(mapping),
            side: round =>
            {
                resolved = _mappings.TryResolve(1, round, out _);
                return Task.CompletedTask;
            },
            check: _ =>
            {
                Assert.NotEqual(forgotten, resolved);
                Assert.Equal(0, _mappings.Count);
                return Task.CompletedTask;
            });
    }

    [Fact]
    public async Task BeginRacingCancel_OfOneRequest_AlwaysStopsTheAnswer()
    {
        await using var peer = new RawPeer();
        var mapping = new StreamMapping(1, 0, peer.Stream, 0, 10, new UncheckedReceiver(1, peer.Stream));
        InboundSecondaryStream source = Inbound.Create(1, 0);
        await Race.RunAsync(
            Rounds,
            prepare: round =>
            {
                mapping = new StreamMapping(1, round, peer.Stream, 0, 10, new UncheckedReceiver(1, peer.Stream));
                source = Inbound.Create(1, round);
            },
            rival: _ => mapping.Cancel(),
            side: _ =>
            {
                mapping.Begin(source);
                return Task.CompletedTask;
            },
            check: _ =>
            {
                Assert.True(source.Stopped.IsCancellationRequested);
                Assert.Equal(KwikError.Cancelled, source.StopCode);
                return Task.CompletedTask;
            });
    }
}

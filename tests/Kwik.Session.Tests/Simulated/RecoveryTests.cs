using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>What each line of <see cref="RecoveryOptions.Rules"/> does, seen from the reader of an offered stream.</summary>
public class RecoveryTests
{
    private const int FrameSize = 64 * 1024;
    private const int Length = 6 * 1024 * 1024;

    /// <summary>What is wrong with the first answer of the server.</summary>
    public enum Flaw
    {
        WrongChecksum,
        OpenedTwice,
        NoCloseFrame,
        BeyondItsRange,
        InAnotherStream,
        AtAnotherOffset,
        WithAHole,
    }

    [Theory]
    [InlineData(Flaw.WrongChecksum, KwikError.Checksum, RecoveryAction.RequestRetransmission)]
    [InlineData(Flaw.WrongChecksum, KwikError.Checksum, RecoveryAction.IgnoreCorrupted)]
    [InlineData(Flaw.OpenedTwice, KwikError.MetadataProtocolViolation, RecoveryAction.RequestResend)]
    [InlineData(Flaw.OpenedTwice, KwikError.MetadataProtocolViolation, RecoveryAction.IgnoreStream)]
    [InlineData(Flaw.OpenedTwice, KwikError.MetadataProtocolViolation, RecoveryAction.RequestRetransmission)]
    [InlineData(Flaw.NoCloseFrame, KwikError.MetadataProtocolViolation, RecoveryAction.UseDefaults)]
    [InlineData(Flaw.BeyondItsRange, KwikError.ContentMismatch, RecoveryAction.RequestRetransmission)]
    [InlineData(Flaw.InAnotherStream, KwikError.ContentMismatch, RecoveryAction.RequestRetransmission)]
    [InlineData(Flaw.AtAnotherOffset, KwikError.ContentMismatch, RecoveryAction.RequestRetransmission)]
    [InlineData(Flaw.WithAHole, KwikError.ContentMismatch, RecoveryAction.RequestRetransmission)]
    public void Fault_OfOneAnswer_IsTreatedAndTheServerGoesOn(Flaw flaw, KwikError error, RecoveryAction action) =>
        Run(flaw, [new(error, action)], async (session, stream, content, requests) =>
        {
            Assert.True(content.Is(await stream.ReadToEndAsync()));
            Assert.Contains(Treated(session), treated => (treated.Error, treated.Action) == (error, action));
            Assert.Equal(PathState.Active, session.GetAllPaths()[1].State);
            bool isAskedAgain = requests.Count != requests.Distinct().Count();
            Assert.False(action == RecoveryAction.UseDefaults && isAskedAgain);
        });

    [Theory]
    [InlineData(Flaw.WrongChecksum, KwikError.Checksum)]
    [InlineData(Flaw.OpenedTwice, KwikError.MetadataProtocolViolation)]
    [InlineData(Flaw.BeyondItsRange, KwikError.ContentMismatch)]
    public void Fault_WithIsolateSource_TakesTheServerOutAndLosesNoByte(Flaw flaw, KwikError error) =>
        Run(flaw, [new(error, RecoveryAction.IsolateSource)], async (session, stream, content, _) =>
        {
            Assert.True(content.Is(await stream.ReadToEndAsync()));
            Assert.Contains(Treated(session), treated => treated is { PathId: 1, Action: RecoveryAction.IsolateSource });
            Assert.Equal(PathState.Removed, session.GetAllPaths()[1].State);
        });

    [Theory]
    [InlineData(Flaw.WrongChecksum, KwikError.Checksum)]
    [InlineData(Flaw.OpenedTwice, KwikError.MetadataProtocolViolation)]
    [InlineData(Flaw.BeyondItsRange, KwikError.ContentMismatch)]
    public void Fault_WithCloseStream_FailsTheStreamWithIt(Flaw flaw, KwikError error) =>
        Run(flaw, [new(error, RecoveryAction.CloseStream)], async (session, stream, _, _) =>
        {
            KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => stream.ReadToEndAsync());
            Assert.Equal((error, 1), (e.Code, e.PathId));
            Assert.Equal(PathState.Active, session.GetAllPaths()[1].State);
        });

    [Theory]
    [InlineData(true, KwikError.AggregationTimeout)]
    [InlineData(false, KwikError.OffsetSyncFailure)]
    public void Hole_ThatItsServerNeverFills_IsAskedAboutAndThenAskedElsewhere(bool answers, KwikError error) =>
        Silent(answers, RecoveryOptions.DefaultRules, async (session, stream, content) =>
        {
            Assert.True(content.Is(await stream.ReadToEndAsync()));
            Assert.Contains(
                Treated(session), treated => (treated.Error, treated.Action, treated.PathId) == (error, RecoveryAction.RequestRetransmission, 1));
        });

    [Theory]
    [InlineData(true, KwikError.AggregationTimeout)]
    [InlineData(false, KwikError.OffsetSyncFailure)]
    public void Hole_WithCloseStream_FailsTheStreamAndSkipsNothing(bool answers, KwikError error) =>
        Silent(answers, [new(error, RecoveryAction.CloseStream)], async (_, stream, content) =>
        {
            var received = new List<byte>();
            var buffer = new byte[FrameSize];
            KwikException e = await Assert.ThrowsAnyAsync<KwikException>(async () =>
            {
                while (await stream.ReadAsync(buffer) is > 0 and int read)
                {
                    received.AddRange(buffer.AsSpan(0, read));
                }
            });
            Assert.Equal(error, e.Code);
            Assert.True(content.BeginsWith([.. received]));
        });

    /// <summary>A primary, and a secondary whose first answer has a flaw.</summary>
    private static void Run(
        Flaw flaw,
        IReadOnlyList<RecoveryRule> rules,
        Func<ClientSession, KwikStream, MemoryContent, List<ulong>, Task> check) => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, Length);
        var requests = new List<ulong>();
        var answers = new List<Task>();
        await using var deployment = new SimulatedDeployment(world);
        await using RogueSecondary rogue = await RogueSecondary.StartAsync(world.Host("rogue"), async client =>
        {
            await client.ReceiveAsync(request =>
            {
                answers.Add(AnswerAsync(client, request, content, requests.Count == 0 ? flaw : null));
                requests.Add(request.Offset);
                return Task.CompletedTask;
            });
            await Task.WhenAll(answers);
        });
        await ServeAsync(deployment, content, rogue.Address);

        await using ClientSession session = await deployment.ConnectAsync(options => options with { Recovery = new() { Rules = rules } });
        await using KwikStream stream = await session.AcceptStream();
        await check(session, stream, content, requests);
        Assert.NotEmpty(requests);
    });

    /// <summary>A primary, and a secondary that answers heartbeats and nothing else, or also the question about a hole.</summary>
    private static void Silent(
        bool answers, IReadOnlyList<RecoveryRule> rules, Func<ClientSession, KwikStream, MemoryContent, Task> check) => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, Length);
        await using var deployment = new SimulatedDeployment(world);
        await using RogueSecondary rogue = await RogueSecondary.StartAsync(
            world.Host("rogue"),
            client => client.ReceiveAsync(missed: question => answers
                ? client.SendAsync(new ControlFrame
                {
                    OffsetSyncResponse = new OffsetSyncResponse
                    {
                        KwikStreamId = question.KwikStreamId,
                        ExpectedOffset = question.EndOffset,
                        SyncRequired = true,
                    },
                })
                : ValueTask.CompletedTask));
        await ServeAsync(deployment, content, rogue.Address);

        await using ClientSession session = await deployment.ConnectAsync(options => options with
        {
            Recovery = new() { Rules = rules },
            // Else others are asked long before the hole is looked at.
            Delivery = new() { SuspectAfter = TimeSpan.FromSeconds(60) },
        });
        await using KwikStream stream = await session.AcceptStream();
        await check(session, stream, content);
    });

    private static Task ServeAsync(SimulatedDeployment deployment, MemoryContent content, SecondaryServer secondary) =>
        deployment.StartPrimaryAsync(content, async session =>
        {
            await session.AddPathAsync(secondary);
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(content.Offer);
            await session.Closed;
        });

    private static async Task AnswerAsync(RogueSecondary.Client client, RangeRequest request, MemoryContent content, Flaw? flaw)
    {
        long end = (long)(request.Offset + request.Length);
        (long target, long start) = ((long)request.KwikStreamId, (long)request.Offset);
        target += flaw == Flaw.InAnotherStream ? 4 : 0;
        start += flaw == Flaw.AtAnotherOffset ? 1 : 0;
        var frames = new List<(StreamFrame, byte[])> { (StreamFrame.Open(target, start, (long)request.RequestId), []) };
        for (long offset = (long)request.Offset; offset < end; offset += FrameSize)
        {
            byte[] payload = content.Slice(offset, (int)Math.Min(FrameSize, end - offset));
            uint checksum = Crc32C.Compute(payload) ^ (flaw == Flaw.WrongChecksum && frames.Count == 2 ? 1u : 0u);
            long explicitOffset = flaw == Flaw.WithAHole && frames.Count == 2 ? offset + 1 : -1;
            frames.Add((StreamFrame.Data(payload.Length, explicitOffset, checksum), payload));
            if (flaw == Flaw.OpenedTwice && frames.Count == 3)
            {
                frames.Add(frames[0]);
            }
        }

        if (flaw == Flaw.BeyondItsRange)
        {
            frames.Add((StreamFrame.Data(1), [0]));
        }

        if (flaw != Flaw.NoCloseFrame)
        {
            frames.Add((StreamFrame.Close(end), []));
        }

        try
        {
            await using ITransportStream stream = await client.OpenAsync(StreamType.Internal, [.. frames]);
            stream.CompleteWrites();
        }
        catch (KwikException)
        {
            // The client stopped it.
        }
    }

    private static List<FaultTreated> Treated(ClientSession session)
    {
        var treated = new List<FaultTreated>();
        while (session.Events.TryRead(out SessionEvent? happened))
        {
            if (happened is FaultTreated fault)
            {
                treated.Add(fault);
            }
        }

        return treated;
    }
}

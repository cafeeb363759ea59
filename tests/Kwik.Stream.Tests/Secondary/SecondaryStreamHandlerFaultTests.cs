using Kwik.Data;

namespace Kwik.Streams.Tests;

/// <summary>What servers do that they may not, in an answer.</summary>
public sealed class SecondaryStreamHandlerFaultTests
{
    // What is asked of it, by request 7 of path 1; the stream ends at 1000.
    private const int Offset = 100;
    private const int Length = 500;

    /// <summary>What an answer does, behind its open frame where it has one.</summary>
    public enum Flaw
    {
        BeginsWithData,
        BeginsWithNothing,
        BeginsWithGarbage,
        OpensTwice,
        EndsEarly,
        EndsWithoutClose,
        EndsInAFrame,
        EndsInAPayload,
        GoesOnAfterClose,
        AnswersForAnotherStream,
        AnswersForAnotherOffset,
        WrongChecksum,
        LeavesAGap,
        Repeats,
        GoesBeyondItsRange,
    }

    [Theory]
    [InlineData(Flaw.BeginsWithData)]
    [InlineData(Flaw.BeginsWithNothing)]
    [InlineData(Flaw.BeginsWithGarbage)]
    public void Answer_ThatDoesNotBegin_IsRefusedAndOwesNothing(Flaw flaw) => SecondaryReceiver.Run(1, async receiver =>
    {
        receiver.Expect(1, 7, receiver.AddStream(4), Offset, Length);
        RawSecondary server = receiver.Open(1);
        await SendAsync(server, flaw);
        await server.Handling;
        receiver.AssertBroken(KwikError.MetadataProtocolViolation);
        Assert.Empty(receiver.Ended);
        Assert.Empty(receiver.Decided);
        Assert.Equal(1, receiver.Mappings.Count);
    });

    [Theory]
    [InlineData(Flaw.OpensTwice, KwikError.MetadataProtocolViolation)]
    [InlineData(Flaw.EndsWithoutClose, KwikError.MetadataProtocolViolation)]
    [InlineData(Flaw.EndsInAFrame, KwikError.MetadataProtocolViolation)]
    [InlineData(Flaw.EndsInAPayload, KwikError.MetadataProtocolViolation)]
    [InlineData(Flaw.GoesOnAfterClose, KwikError.MetadataProtocolViolation)]
    [InlineData(Flaw.AnswersForAnotherStream, KwikError.ContentMismatch)]
    [InlineData(Flaw.AnswersForAnotherOffset, KwikError.ContentMismatch)]
    [InlineData(Flaw.WrongChecksum, KwikError.Checksum)]
    [InlineData(Flaw.LeavesAGap, KwikError.ContentMismatch)]
    [InlineData(Flaw.Repeats, KwikError.ContentMismatch)]
    [InlineData(Flaw.GoesBeyondItsRange, KwikError.ContentMismatch)]
    [InlineData(Flaw.EndsEarly, KwikError.ContentMismatch)]
    public void Answer_WithAFlaw_IsRefusedAndTreatedOnce(Flaw flaw, KwikError code) => SecondaryReceiver.Run(1, async receiver =>
    {
        receiver.Treatment = RecoveryAction.CloseStream;
        StreamMapping asked = receiver.Expect(1, 7, receiver.AddStream(4), Offset, Length);
        RawSecondary server = receiver.Open(1);
        await SendAsync(server, flaw);
        await server.Handling;

        SecondaryReceiver.Ending ending = Assert.Single(receiver.Ended);
        Assert.Same(asked, ending.Source.Request);
        Assert.Equal((code, 1, 4L), (ending.Fault!.Code, ending.Fault.PathId, ending.Fault.StreamId));
        Assert.Equal((RecoveryAction.CloseStream, SecondaryStreamState.Error), (ending.Action, ending.Source.State));
        Assert.Equal(code, Assert.Single(receiver.Decided).Code);
        if (code == KwikError.Checksum)
        {
            // The network may have done it.
            Assert.Empty(receiver.Broken);
        }
        else
        {
            receiver.AssertBroken(code);
        }
    });

    [Theory]
    [InlineData(Flaw.OpensTwice, KwikError.MetadataProtocolViolation)]
    [InlineData(Flaw.AnswersForAnotherOffset, KwikError.ContentMismatch)]
    [InlineData(Flaw.WrongChecksum, KwikError.Checksum)]
    [InlineData(Flaw.GoesBeyondItsRange, KwikError.ContentMismatch)]
    public void Answer_ThatIsStillOpen_IsStoppedWithTheCodeOfItsFlaw(Flaw flaw, KwikError code) => SecondaryReceiver.Run(1, async receiver =>
    {
        receiver.Expect(1, 7, receiver.AddStream(4), Offset, Length);
        RawSecondary server = receiver.Open(1);
        await SendAsync(server, flaw, end: false);
        Assert.Equal(code, await server.RefusalAsync());
    });

    [Fact]
    public void Reset_ByItsServer_BreaksNoRuleAndIsNotTreated() => SecondaryReceiver.Run(1, async receiver =>
    {
        RawSecondary server = await receiver.PushAsync(1, receiver.AddStream(4));
        await server.SendDataAsync(new byte[10]);
        await receiver.SettleAsync();
        server.Reset(KwikError.StreamMappingConflict);
        await server.Handling;
        SecondaryReceiver.Ending ending = Assert.Single(receiver.Ended);
        Assert.Equal((KwikError.StreamMappingConflict, null), (ending.Fault!.Code, ending.Action));
        Assert.Equal(SecondaryStreamState.Error, ending.Source.State);
        Assert.Empty(receiver.Broken);
        Assert.Empty(receiver.Decided);
    });

    [Fact]
    public void CorruptPiece_ThatIsToBeIgnored_IsLeftOutAndTheRestPlaced() => SecondaryReceiver.Run(1, async receiver =>
    {
        receiver.Treatment = RecoveryAction.IgnoreCorrupted;
        KwikStream stream = receiver.AddStream(4);
        receiver.Expect(1, 7, stream, 0, 300);
        RawSecondary server = receiver.Open(1);
        await server.SendAsync(StreamFrame.Open(4, 0, 7));
        await server.SendDataAsync(Bytes.Random(1, 100));
        await server.SendAsync(StreamFrame.Data(100, checksum: 1), new byte[100]);
        await server.SendDataAsync(Bytes.Random(3, 100));
        await server.CloseAsync(300);

        Assert.Equal([(100L, 100L)], stream.Incoming.Missing(0, 300));
        SecondaryReceiver.Ending ending = Assert.Single(receiver.Ended);
        Assert.Equal((null, null, KwikError.None, true), (ending.Fault, ending.Action, ending.Source.Outcome, ending.Source.HasDropped));
        Assert.Equal(KwikError.Checksum, Assert.Single(receiver.Decided).Code);
        Assert.Empty(receiver.Broken);
        Assert.Equal(200, receiver.Placed);
    });

    [Theory]
    [InlineData(Length, KwikError.None)]
    [InlineData(Length - 1, KwikError.PathLost)]
    public void EndWithoutCloseFrame_WithUseDefaults_IsTakenForACleanOne(int length, KwikError outcome) => SecondaryReceiver.Run(1, async receiver =>
    {
        receiver.Treatment = RecoveryAction.UseDefaults;
        receiver.Expect(1, 7, receiver.AddStream(4), Offset, Length);
        RawSecondary server = receiver.Open(1);
        await server.SendAsync(StreamFrame.Open(4, Offset, 7));
        await server.SendDataAsync(new byte[length]);
        server.End();
        await server.Handling;
        SecondaryReceiver.Ending ending = Assert.Single(receiver.Ended);
        Assert.Equal((null, null, outcome), (ending.Fault, ending.Action, ending.Source.Outcome));
        Assert.Equal(SecondaryStreamState.Closed, ending.Source.State);
        Assert.Single(receiver.Decided);
        Assert.Empty(receiver.Broken);
    });

    [Theory]
    [InlineData(Flaw.OpensTwice)]
    [InlineData(Flaw.EndsInAPayload)]
    [InlineData(Flaw.GoesOnAfterClose)]
    public void OtherFaultOfMetadata_WithUseDefaults_IsSentAgainByWhoeverIsFree(Flaw flaw) => SecondaryReceiver.Run(1, async receiver =>
    {
        receiver.Treatment = RecoveryAction.UseDefaults;
        receiver.Expect(1, 7, receiver.AddStream(4), Offset, Length);
        RawSecondary server = receiver.Open(1);
        await SendAsync(server, flaw);
        await server.Handling;
        Assert.Equal(RecoveryAction.RequestResend, Assert.Single(receiver.Ended).Action);
    });

    private static async Task SendAsync(RawSecondary server, Flaw flaw, bool end = true)
    {
        switch (flaw)
        {
            case Flaw.BeginsWithNothing:
                break;
            case Flaw.BeginsWithData:
                await server.SendDataAsync(new byte[10]);
                break;
            case Flaw.BeginsWithGarbage:
                await server.SendAsync([0x04, 0xff, 0xff, 0xff, 0xff]);
                break;
            case Flaw.AnswersForAnotherStream:
                await server.SendAsync(StreamFrame.Open(8, Offset, 7));
                break;
            case Flaw.AnswersForAnotherOffset:
                await server.SendAsync(StreamFrame.Open(4, Offset + 1, 7));
                break;
            default:
                await server.SendAsync(StreamFrame.Open(4, Offset, 7));
                await server.SendDataAsync(new byte[100]);
                await SendRestAsync(server, flaw);
                break;
        }

        if (end)
        {
            server.End();
        }
    }

    private static Task SendRestAsync(RawSecondary server, Flaw flaw) => flaw switch
    {
        Flaw.OpensTwice => server.SendAsync(StreamFrame.Open(4, Offset, 7)),
        Flaw.EndsEarly => server.SendAsync(StreamFrame.Close(150)),
        Flaw.EndsWithoutClose => Task.CompletedTask,
        Flaw.EndsInAFrame => server.SendAsync([0x10, 0x12]),
        Flaw.EndsInAPayload => server.SendAsync(StreamFrame.Data(10), new byte[9]),
        Flaw.GoesOnAfterClose => SendAllAndMoreAsync(server),
        Flaw.WrongChecksum => server.SendAsync(StreamFrame.Data(10, checksum: 1), new byte[10]),
        Flaw.LeavesAGap => server.SendDataAsync(new byte[10], Offset + 101),
        Flaw.Repeats => server.SendDataAsync(new byte[10], Offset + 99),
        Flaw.GoesBeyondItsRange => server.SendDataAsync(new byte[Length - 99]),
        _ => throw new ArgumentOutOfRangeException(nameof(flaw)),
    };

    private static async Task SendAllAndMoreAsync(RawSecondary server)
    {
        await server.SendDataAsync(new byte[Length - 100]);
        await server.SendAsync(StreamFrame.Close(Offset + Length), [0x02, 0x1a, 0x00]);
    }
}

using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Samples.SendFile;

/// <summary>The side that accepts streams: it stores what comes, and writes errors.</summary>
/// <param name="folder">Where the files go, and nowhere else.</param>
/// <param name="maxBytes">Of one file.</param>
internal sealed partial class Receiver(string folder, long maxBytes)
{
    private const long NoticeEvery = 4 * 1024 * 1024;

    /// <summary>Serves all who connect, until the listener is closed.</summary>
    public async Task ServeAsync(KwikListener listener)
    {
        try
        {
            while (true)
            {
                var session = (PrimarySession)await listener.AcceptSessionAsync();
                // Senders do not wait for each other.
                _ = ServeAsync(session);
            }
        }
        catch (ObjectDisposedException)
        {
            // The listener was closed.
        }
    }

    private async Task ServeAsync(PrimarySession session)
    {
        await using (session)
        {
            try
            {
                while (true)
                {
                    await using KwikStream stream = await session.AcceptStream();
                    await ReceiveAsync(stream);
                }
            }
            catch (KwikException)
            {
                // The sender has left; in the middle of a file, that was not stored.
            }
        }
    }

    /// <summary>Stores one file, and answers with its hash; or says why not.</summary>
    private async Task ReceiveAsync(KwikStream stream)
    {
        string part = Path.Combine(folder, Path.GetRandomFileName());
        try
        {
            string name = await ReadNameAsync(stream);
            byte[] hash = await StoreAsync(stream, part);
            File.Move(part, Path.Combine(folder, name));
            await stream.WriteAsync(hash);
            stream.CompleteWrites();
        }
        catch (RefusedException e)
        {
            // Ends the stream: whatever the sender is doing on it fails now.
            await stream.WriteErrorAsync(e.Message, (ulong)e.Notice);
        }
        catch (Exception e) when (e is UnauthorizedAccessException || (e is IOException and not KwikException))
        {
            // What exactly is wrong with this machine is not for everybody.
            Console.Error.WriteLine(e.Message);
            await stream.WriteErrorAsync("The file could not be stored.", (ulong)Notice.NotStored);
        }
        finally
        {
            File.Delete(part);
        }
    }

    /// <summary>A peer may say anything: here it names one new file in one folder, or nothing.</summary>
    private async Task<string> ReadNameAsync(KwikStream stream)
    {
        var bytes = new byte[byte.MaxValue];
        await stream.ReadExactlyAsync(bytes.AsMemory(0, 1));
        int length = bytes[0];
        await stream.ReadExactlyAsync(bytes.AsMemory(0, length));
        string name = Encoding.UTF8.GetString(bytes, 0, length);
        if (!PlainName().IsMatch(name))
        {
            throw new RefusedException(Notice.BadName, "The name is not that of a plain file.");
        }

        return File.Exists(Path.Combine(folder, name)) ? throw new RefusedException(Notice.Exists, "There is such a file already.") : name;
    }

    private async Task<byte[]> StoreAsync(KwikStream stream, string part)
    {
        await using var file = new FileStream(part, FileMode.CreateNew, FileAccess.Write);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[64 * 1024];
        long stored = 0;
        // 0 is the end that the sender meant; when it breaks off, this throws.
        for (int read; (read = await stream.ReadAsync(buffer)) > 0;)
        {
            if (stored + read > maxBytes)
            {
                throw new RefusedException(Notice.TooLarge, $"No more than {maxBytes} bytes are taken.");
            }

            hash.AppendData(buffer, 0, read);
            await file.WriteAsync(buffer.AsMemory(0, read));
            if (stored / NoticeEvery != (stored += read) / NoticeEvery)
            {
                // Does not disturb the data, and does not wait for the sender.
                await stream.NotifyErrorAsync($"{stored >> 20} MiB are stored.", (ulong)Notice.Progress);
            }
        }

        return hash.GetHashAndReset();
    }

    // No way out of the folder, nothing hidden, none of the names that are devices on Windows.
    [GeneratedRegex(@"\A(?!(CON|PRN|AUX|NUL|COM\d|LPT\d)(\.|\z))[\p{L}\p{N}_-][\p{L}\p{N}._ -]{0,99}(?<![. ])\z", RegexOptions.IgnoreCase)]
    private static partial Regex PlainName();
}
